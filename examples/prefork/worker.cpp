// The worker in C++: worker.c and metrics.c over again, with shmetrics.hpp. A program that the
// master starts.
#include <shmetrics.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include "http.h"
#include "routes.h"

namespace {

constexpr unsigned idle_seconds = 5;
constexpr int requests_per_connection = 100;

// The families as the other languages register them: the first process makes them, the others find
// them.
struct instruments {
  explicit instruments(const shmetrics::segment& segment)
      : requests(segment.register_counter(
            {"http_requests_total", "Requests answered.", {"lang", "method", "path", "status"}})),
        duration(segment.register_histogram(
            {"http_request_duration_seconds",
             "Time from the request to the first byte of its answer.",
             {"lang", "path"},
             "",
             {0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.006, 0.008, 0.01, 0.05, 0.1}})),
        in_progress(segment
                        .register_gauge({"http_requests_in_progress", "Requests being answered now.", {"lang"}},
                                        shmetrics::gauge_mode::livesum)
                        .with("cpp")) {}

  shmetrics::counter_family requests;
  shmetrics::histogram_family duration;
  shmetrics::gauge in_progress;
};

class worker {
 public:
  explicit worker(const shmetrics::segment& segment) : segment_(segment), metrics_(segment) {}

  void serve(int fd) const {
    http_connection c;
    http_request request;
    http_set_limits(fd, idle_seconds);
    http_open(&c, fd, "prefork/cpp");
    for (int left = requests_per_connection; left > 0 && http_read(&c, &request); left--) {
      if (left == 1) request.keep_alive = false;  // others wait for a worker, too
      if (!answer(c, request) || !request.keep_alive) break;
    }
  }

 private:
  bool answer(http_connection& c, const http_request& request) const {
    if (request.path == std::string_view("/metrics")) return send_page(c, request);

    const auto in_progress = metrics_.in_progress.track();
    const route& route = *route_find(request.method, request.path);
    auto timer = metrics_.duration.with("cpp", route.path).start_timer();
    http_sleep_ms(route.work_ms);
    // Counted before the answer is written: whatever a client has seen is on the page.
    metrics_.requests.with("cpp", route.method, route.path, std::string_view(route.status, 3)).inc();
    timer.stop();
    const auto body = route.body ? std::string_view(route.body) : std::string_view(request.body, request.body_len);
    return http_respond(&c, route.status, body.data(), body.size(), route.pause_ms, request.keep_alive);
  }

  bool send_page(http_connection& c, const http_request& request) const {
    const auto exposition = shmetrics::exposition::negotiate(request.accept);
    bool sent = http_stream(&c, exposition.content_type().data(), &request);
    const auto send = [&](std::string_view piece) {
      return sent = sent && http_chunk(&c, piece.data(), piece.size(), &request);
    };
    segment_.each_chunk(send, 16 * 1024, exposition);
    return sent && http_chunk(&c, "", 0, &request);
  }

  shmetrics::segment segment_;
  instruments metrics_;
};

unsigned from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) throw std::runtime_error(std::string(name) + " is not set: the master starts this program");
  return static_cast<unsigned>(std::stoul(text));
}

[[noreturn]] void run() {
  const int listener = static_cast<int>(from_environment("LISTEN_FD"));
  const auto segment = shmetrics::segment::open(shmetrics::options().attach());
  segment.set_identity(from_environment("WORKER_NUMBER"));
  const worker worker(segment);
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      worker.serve(fd);
      close(fd);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      throw std::system_error(errno, std::generic_category(), "accept");
    }
  }
}

}  // namespace

int main() try { run(); } catch (const std::exception& failure) {
  std::fprintf(stderr, "cpp worker: %s\n", failure.what());
  return EXIT_FAILURE;
}
