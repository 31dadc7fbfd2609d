/* Answers each request after the same time: delaying_server NANOSECONDS. Prints its port; ends at the end of stdin.

   One thread, one epoll set. As all answers are held equally long they leave in the order in which requests came, so
   that a ring is all the queue it needs. Its clock wakes it with a timerfd; how punctual it is does not matter, as what
   it did is captured. On the way out it prints for how long it held an answer at most, in ns. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, HELD = 65536, REQUEST = 8192 };

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
    "X-Cff-Invoke-Summary: "
    "{\"duration\":0.013,\"billingDuration\":1,\"memorySize\":128,\"memoryUsed\":41.51171875}\r\n"
    "X-Cff-Request-Id: 1cbe80f3-3c65-475e-ad88-76ac518d386a\r\nX-CFF-Billing-Duration: 1\r\n"
    "X-Func-Err-Code: 0\r\nX-Is-Func-Err: false\r\n"
    "Content-Length: 45\r\n\r\n{\"message\": \"hello world from FunctionStage\"}";

static struct { char text[REQUEST + 1]; int length; unsigned turn; } connections[MOST];
static struct { int64_t came_ns; int fd; unsigned turn; } held[HELD];
static unsigned first, last;
static int64_t delay_ns, longest_ns;
static int set, timer;

static int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void answer(int fd) {
    if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) shutdown(fd, SHUT_RDWR);
}

static void answer_due(void) {
    int64_t now = now_ns();
    for (; first != last; first++) {
        int64_t waited = now - held[first % HELD].came_ns;
        if (waited < delay_ns) break;
        if (waited > longest_ns) longest_ns = waited;
        if (connections[held[first % HELD].fd].turn == held[first % HELD].turn) answer(held[first % HELD].fd);
    }
    int64_t at = first == last ? 0 : held[first % HELD].came_ns + delay_ns;
    struct itimerspec next = {.it_value = {at / 1000000000, at % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &next, NULL);
}

static void take(int fd) {
    char *text = connections[fd].text;
    ssize_t n = recv(fd, text + connections[fd].length, REQUEST - connections[fd].length, MSG_DONTWAIT);
    if (n <= 0) {
        connections[fd].turn++; /* what is held for it is for nobody */
        connections[fd].length = 0;
        close(fd);
        return;
    }
    connections[fd].length += n;
    text[connections[fd].length] = 0;
    char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length:");
    if (!end || connections[fd].length < end + 4 - text + (length && length < end ? atol(length + 17) : 0)) return;
    connections[fd].length = 0;
    if (!delay_ns) {
        answer(fd);
        return;
    }
    held[last % HELD].came_ns = now_ns();
    held[last % HELD].fd = fd;
    held[last++ % HELD].turn = connections[fd].turn;
    if (last - first == 1) answer_due(); /* sets the timer */
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event events[64];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    delay_ns = argc > 1 ? atoll(argv[1]) : 0;
    set = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, MOST)
        || getsockname(listener, (struct sockaddr *)&address, &size)) return 1;
    watch(listener);
    watch(timer);
    watch(0);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(set, events, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) {
                printf("%lld\n", (long long)longest_ns);
                return 0;
            }
            if (fd == timer) {
                uint64_t rings;
                if (read(timer, &rings, sizeof rings) > 0) answer_due();
            } else if (fd == listener) {
                int accepted = accept(listener, NULL, NULL);
                if (accepted >= MOST) close(accepted);
                else if (accepted >= 0) {
                    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    connections[accepted].length = 0;
                    watch(accepted);
                }
            } else take(fd);
        }
    }
}
