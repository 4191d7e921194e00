// Two forked workers count into one named segment; a read-only reader, as a sidecar would have,
// renders it.
//
//   c++ -std=c++17 quickstart.cpp $(pkg-config --cflags --libs shmetrics) -o quickstart &&
//   ./quickstart
#include <shmetrics.hpp>

#include <iostream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int workers = 2;
constexpr int requests_per_worker = 1000;

struct metrics {
  shmetrics::counter_family requests;
  shmetrics::gauge in_flight;
  shmetrics::histogram latency;

  explicit metrics(shmetrics::segment segment)
      : requests(segment.register_counter({"http_requests_total", "Requests served.", {"method", "path", "status"}})),
        in_flight(segment.register_gauge({"http_in_flight", "Being served."}, shmetrics::gauge_mode::livesum).with()),
        latency(segment.register_histogram({"http_request_duration_seconds", "Time to answer."}).with()) {}
};

void serve_requests(const metrics& m) {
  const auto served = m.requests.with({"GET", "/", "200"});  // look up once, keep the handle
  for (int i = 0; i < requests_per_worker; i++) {
    const auto busy = m.in_flight.track();
    const auto time = m.latency.start_timer();
    served.inc();
  }
}

bool fork_workers(const metrics& m) {
  for (int i = 0; i < workers; i++) {
    const pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
      serve_requests(m);
      _exit(0);
    }
  }
  bool all_well = true;
  for (int status = 0; wait(&status) > 0;) all_well = all_well && status == 0;
  return all_well;
}

// Removes the segment's name at the end, so that the example leaves nothing behind. A server keeps
// its segment.
struct named_segment {
  std::string name = "quickstart-" + std::to_string(getpid());
  shmetrics::segment segment = shmetrics::segment::open(name);
  ~named_segment() { (void)shmetrics::segment::try_remove(name); }
};

int run() {
  const named_segment shop;
  const metrics m(shop.segment);
  const bool all_well = fork_workers(m);

  const std::string page = shmetrics::reader::open(shop.name).render();
  std::cout << page;
  const auto shows = [&page](std::string_view line) { return page.find(line) != std::string::npos; };
  const bool right = shows("http_requests_total{method=\"GET\",path=\"/\",status=\"200\"} 2000\n") &&
                     shows("http_request_duration_seconds_count 2000\n") && shows("http_in_flight 0\n");
  if (!all_well || !right) std::cerr << "the page does not show " << workers * requests_per_worker << " requests\n";
  return all_well && right ? 0 : 1;
}

}  // namespace

int main() try { return run(); } catch (const shmetrics::error& failure) {
  std::cerr << failure.what() << '\n';
  return 1;
}
