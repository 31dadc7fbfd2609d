// A probe for loadgen's cold-starts experiment, for the Node.js runtimes of FunctionGraph. Handler: index.handler.
//
// Module state lives as long as its instance, so a new instance has a new name and begins to count at 1. Answers
// {"cold": true, "instance": "…", "n": 1}; the scenario says where these fields are, by default cold, instance and n.
"use strict";

const instance = require("crypto").randomBytes(16).toString("hex");
let calls = 0;

exports.handler = async (event, context) => {
  const n = ++calls;
  return { cold: n === 1, instance, n };
};
