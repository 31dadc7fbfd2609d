// The request that loadgen sends; constant-arrival-rate where the environment names a rate, else constant-vus.
import http from "k6/http";

const workers = Number(__ENV.WORKERS);
const executor = __ENV.RATE
  ? { executor: "constant-arrival-rate", rate: Number(__ENV.RATE), preAllocatedVUs: workers, maxVUs: workers }
  : { executor: "constant-vus", vus: workers };
const parameters = { headers: { "Content-Type": "application/json", "X-CFF-Request-Version": "v0" } };

export const options = {
  scenarios: { load: { ...executor, duration: `${__ENV.SECONDS}s` } },
  discardResponseBodies: true,
  insecureSkipTLSVerify: true,
  summaryTrendStats: ["med", "p(90)", "p(99)", "p(99.9)"],
};

export default function () {
  http.post(__ENV.URL, '{"k":"v"}', parameters);
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}
