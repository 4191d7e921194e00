// Holds shmetrics.hpp to its promises. Built with and without exceptions, as C++17 and C++20.
#include "shmetrics.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <sys/wait.h>
#include <type_traits>
#include <unistd.h>
#include <vector>

namespace {

int failed = 0;

#define CHECK(condition) check((condition), __LINE__, #condition)
void check(bool holds, int line, const char* what) {
  if (holds) return;
  failed++;
  std::fprintf(stderr, "wrapper.cpp:%d: expected: %s\n", line, what);
}

using shmetrics::status_code;

template <class T>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<T> && !std::is_copy_constructible_v<T>;

static_assert(sizeof(shmetrics::counter) == sizeof(shmetrics_counter));
static_assert(std::is_trivially_copyable_v<shmetrics::counter>);
static_assert(std::is_trivially_copyable_v<shmetrics::histogram_family>);
static_assert(std::is_trivially_copyable_v<shmetrics::segment>);
static_assert(moves_only<shmetrics::reader> && moves_only<shmetrics::timer> && moves_only<shmetrics::in_progress>);
static_assert(noexcept(shmetrics::counter().inc()) && noexcept(shmetrics::counter_family().with("a", "b")));
static_assert(noexcept(shmetrics::counter_family().with(std::initializer_list<std::string_view>{})));
static_assert(sizeof(shmetrics::enumeration) == sizeof(shmetrics_states) && sizeof(shmetrics::info) == sizeof(bool));
static_assert(std::is_trivially_copyable_v<shmetrics::summary> && std::is_trivially_copyable_v<shmetrics::state_set>);
static_assert(std::is_trivially_copyable_v<shmetrics::exposition>);
static_assert(noexcept(shmetrics::info_family().with("a")) && noexcept(shmetrics::enumeration().set(0)));
static_assert(noexcept(shmetrics::counter().add_with_exemplar(1, {})));
static_assert(noexcept(shmetrics::gauge().track()) && noexcept(shmetrics::histogram().start_timer()));

shmetrics::segment scratch() {
  auto opened = shmetrics::segment::try_open(shmetrics::options().anonymous().max_size(8 << 20));
  if (opened) return *opened;
  std::fprintf(stderr, "cannot go on: %s\n", opened.error().what());
  std::exit(2);
}

std::string page_of(shmetrics::segment segment) {
  auto page = segment.try_render();
  CHECK(bool(page));
  return page ? *page : std::string();
}

bool shows(shmetrics::segment segment, std::string_view line) {
  const std::string page = page_of(segment);
  if (page.find(line) != std::string::npos) return true;
  std::fprintf(stderr, "the page does not show %.*s\n%s\n", int(line.size()), line.data(), page.c_str());
  return false;
}

void bundles() {
  const auto segment = scratch();
  enum { requests, latency, active, sizes, breaker };
  shmetrics::bundle_spec spec;
  spec.labels = {"method", "status"};
  spec.members = {{shmetrics::kind::counter, {"requests", "Requests."}},
                  {shmetrics::kind::histogram, {"latency", "", {}, "", {0.5, 1}}},
                  {shmetrics::kind::gauge, {"active"}, shmetrics::gauge_mode::livesum},
                  {shmetrics::kind::summary, {"sizes"}},
                  {shmetrics::kind::enumeration, {"breaker", "", {}, "", {}, 0, {}, {"closed", "open"}}}};
  const auto http = *segment.try_register_bundle(spec);
  const auto entry = http.with("GET", "200");
  entry.add(requests);
  entry.counter(requests).inc();
  entry.observe(latency, 0.75);
  entry.histogram(latency).observe(0.25);
  entry.set(active, 5);
  entry.gauge(active).dec();
  entry.summary(sizes).observe(7);
  entry.enumeration(breaker).set(1);
  CHECK(shows(segment, "\nrequests_total{method=\"GET\",status=\"200\"} 2\n"));
  CHECK(shows(segment, "\nlatency_count{method=\"GET\",status=\"200\"} 2\n"));
  CHECK(shows(segment, "\nactive{method=\"GET\",status=\"200\"} 4\n"));
  CHECK(shows(segment, "\nsizes_sum{method=\"GET\",status=\"200\"} 7\n"));
  CHECK(shows(segment, "breaker=\"open\"} 1\n"));
  using namespace shmetrics::updates;
  entry.update({add(requests), add(requests, 0.5), observe(latency, 2), set(active, 9), add(active, -1),
                observe(sizes, std::chrono::milliseconds(500)), add(std::size_t(-1))});
  const std::array<shmetrics_update, 2> more{{add(requests, 2), observe(latency, 0.1)}};
  entry.update(more.data(), more.size());
  entry.update({});
  shmetrics::entry().update({add(requests)});
  CHECK(shows(segment, "\nrequests_total{method=\"GET\",status=\"200\"} 5.5\n"));
  CHECK(shows(segment, "\nlatency_count{method=\"GET\",status=\"200\"} 4\n"));
  CHECK(shows(segment, "\nactive{method=\"GET\",status=\"200\"} 8\n"));
  CHECK(shows(segment, "\nsizes_sum{method=\"GET\",status=\"200\"} 7.5\n"));
  CHECK(entry.counter(latency).value() == 0 && entry.state_set(requests).raw().p0 == nullptr);
  CHECK(entry.gauge_histogram(99).raw().p0 == nullptr && shmetrics::entry().counter(0).raw().p0 == nullptr);
  CHECK(!entry.is_removed() && http.remove("GET", "200") && entry.is_removed());
  (void)http.with({"GET", "200"});
  CHECK(http.clear() == 1);
  spec.members.pop_back();
  CHECK(segment.try_register_bundle(spec).error().status() == status_code::conflict);
  spec.members[0].family.labels = {"own"};
  CHECK(segment.try_register_bundle(spec).error().status() == status_code::invalid_argument);
#ifdef __cpp_exceptions
  shmetrics::bundle_spec one;
  one.members = {{shmetrics::kind::counter, {"alone"}}};
  segment.register_bundle(one).with().add(0);
  CHECK(shows(segment, "\nalone_total 1\n"));
#endif
}

void counters() {
  const auto segment = scratch();
  const auto family = *segment.try_register_counter({"requests_total", "Help.", {"method", "path", "status"}});
  const std::string method = "GET";
  const std::string_view path = "/", values[] = {"GET", "/", "200"};
  family.with({"GET", "/", "200"}).inc();
  family.with("GET", "/", "200").inc();
  family.with(method, path, "200").inc();
  family.with(values, 3).inc();
  auto c = family.with({method, path, "200"});
  ++c;
  c++;
  c += 2;
  c.add(std::numeric_limits<unsigned char>::max());
  c.add(0.5);
  CHECK(c.value() == 263.5);
  CHECK(shows(segment, "\nrequests_total{method=\"GET\",path=\"/\",status=\"200\"} 263.5\n"));

  c.add(-1);
  c.add(-1.0);
  c.add(std::numeric_limits<double>::quiet_NaN());
  CHECK(c.value() == 263.5);
  const auto whole = (*segment.try_register_counter({"whole", "Help."})).with();
  whole.add(std::uint64_t{1} << 53);
  whole.add(1);
  CHECK(shows(segment, "\nwhole_total 9007199254740993\n"));
}

void removed_label_sets() {
  const auto segment = scratch();
  const auto family = *segment.try_register_counter({"removed_total", "Help.", {"a", "b"}});
  const auto old = family.with("1", "2");
  old.inc();
  CHECK(!old.is_removed() && family.remove("1", "2") && old.is_removed());
  CHECK(!family.remove("1", "2") && !family.remove("1") && !shmetrics::gauge_family().remove("1"));
  const auto other = family.with("3", "4");
  old.inc();
  CHECK(other.value() == 0 && family.clear() == 1 && other.is_removed());
  CHECK((*segment.try_register_histogram({"h", "Help.", {"a"}})).clear() == 0);
}

void wrong_numbers_of_values() {
  const auto segment = scratch();
  const auto family = *segment.try_register_counter({"one", "Help.", {"label"}});
  const std::vector<std::string_view> many(100, "v");
  family.with().inc();
  family.with("a", "b").inc();
  family.with({}).inc();
  family.with(many.data(), many.size()).inc();
  CHECK(page_of(segment).find("\none_total") == std::string::npos);
  shmetrics::counter().inc();
  shmetrics::counter_family().with("a").inc();
  CHECK(shmetrics::counter().value() == 0);
}

void gauges() {
  const auto segment = scratch();
  const auto g = (*segment.try_register_gauge({"level", "Help."}, shmetrics::gauge_mode::shared)).with();
  g.set(5);
  g.add(-0.5);
  g.inc();
  g.dec();
  ++g;
  g--;
  CHECK(shows(segment, "\nlevel 4.5\n"));
  g.set(0);
  {
    auto outer = g.track();
    const shmetrics::in_progress inner(g);
    CHECK(shows(segment, "\nlevel 2\n"));
    const auto moved = std::move(outer);  // counts once, wherever it goes
    CHECK(shows(segment, "\nlevel 2\n"));
  }
  CHECK(shows(segment, "\nlevel 0\n"));
  g.set_to_now();
  CHECK(page_of(segment).find("\nlevel 0\n") == std::string::npos);
}

void histograms() {
  const auto segment = scratch();
  shmetrics::spec spec{"size_bytes", "Help.", {}, "bytes", {10, 20}};
  spec.max_series = 1;
  const auto h = (*segment.try_register_histogram(spec)).with();
  h.observe(15);
  CHECK(shows(segment, "\nsize_bytes_bucket{le=\"10.0\"} 0\nsize_bytes_bucket{le=\"20.0\"} 1\n"));
  {
    auto first = h.start_timer();
    const auto moved = std::move(first);
    shmetrics::timer stopped(h), discarded(h);
    stopped.stop();
    stopped.stop();
    discarded.discard();
  }
  CHECK(shows(segment, "\nsize_bytes_count 3\n"));
}

void failures() {
  const auto segment = scratch();
  auto bad = segment.try_register_counter({"not a\tname", "Help."});
  CHECK(!bad && bad.error().status() == status_code::invalid_name);
  CHECK(std::string_view(bad.error().what()).find("not a\\tname") != std::string_view::npos);
  CHECK(bool(segment.try_register_counter({"same", "Help."})));
  const auto other = segment.try_register_gauge({"same", "Help."}, shmetrics::gauge_mode::max);
  CHECK(!other && other.error().status() == status_code::conflict);
  CHECK(segment.try_register_histogram({"", ""}).error().status() == status_code::invalid_name);
  CHECK(shmetrics::reader::try_open("absent").error().status() == status_code::not_found);
  CHECK(shmetrics::segment::try_open(shmetrics::options("absent").attach()).error().status() == status_code::not_found);
  CHECK(shmetrics::segment::try_remove("absent").error().status() == status_code::not_found);
  CHECK(bool(segment.try_set_identity(1)));
  CHECK(bool(segment.try_attach_process()));
}

void options_that_exclude_each_other() {
  using shmetrics::options;
  const auto status = [](const options& how) { return shmetrics::segment::try_open(how).error().status(); };
  CHECK(status(options("x").create_new().attach()) == status_code::invalid_argument);
  CHECK(status(options("x").anonymous()) == status_code::invalid_argument);
  CHECK(status(options().anonymous().attach()) == status_code::invalid_argument);
  CHECK(status(options().anonymous().mode(0640)) == status_code::invalid_argument);
  CHECK(status(options("x").group("no-such-group")) == status_code::invalid_argument);
}

// Options keep their texts, and may be used more than once.
void options_that_outlive_their_texts() {
  const std::string name = "wrapper-kept-" + std::to_string(getpid());
  const auto make = [&] {
    const std::string padding(100, ' ');
    auto how = shmetrics::options(std::string(name));
    how.label(std::string("app"), std::string("a label longer than strings keep in place")).trust(std::string("0"));
    return how.mode(0640).owner(std::to_string(geteuid())).group(std::to_string(getegid()));
  };
  const auto how = make();
  for (int i = 0; i < 2; i++) CHECK(bool(shmetrics::segment::try_open(how)));
  CHECK(bool(shmetrics::segment::try_remove(name)));
}

// A spec keeps its texts, and a null C string is an empty text, wherever a text is taken.
void texts_that_go_or_are_not_there() {
  const auto segment = scratch();
  const auto make = [] {
    shmetrics::spec kept{
        std::string("kept_in_a_spec_of_its_own"), std::string("Help that is longer than in place."), {}};
    kept.labels.push_back(std::string("a label name longer than in place"));
    return kept;
  };
  segment.try_register_counter(make())->with("x").inc();
  CHECK(shows(segment, "# HELP kept_in_a_spec_of_its_own_total Help that is longer than in place.\n"));
  const char* const none = nullptr;
  const auto family = *segment.try_register_counter({"null", none, {"a", "b"}});
  family.with(none, "1").inc();
  family.with({none, "1"}).inc();
  CHECK(bool(segment.try_count("null", {{"a", none}, {"b", "1"}})));
  CHECK(shows(segment, "\nnull_total{a=\"\",b=\"1\"} 3\n"));
  CHECK(family.remove(none, "1"));
  CHECK(segment.try_register_counter({none, ""}).error().status() == status_code::invalid_name);
  CHECK(shmetrics::exposition::negotiate(none).content_type() == shmetrics::content_type());
  CHECK(!shmetrics::accepts_gzip(none));
}

// Values whose number is known at run time.
void values_in_lists() {
  const auto segment = scratch();
  const auto family = *segment.try_register_counter({"listed", "", {"a", "b"}});
  const std::vector<std::string> strings{"1", "2"};
  const std::array<std::string_view, 2> views{"1", "2"};
  const char* const c_strings[] = {"1", "2"};
  family.with(strings).inc();
  family.with(views).inc();
  family.with(c_strings).inc();
  family.with(strings.data(), strings.size()).inc();
  CHECK(family.with("1", "2").value() == 4);
  CHECK(family.remove(strings) && !family.remove(views) && !family.remove(c_strings, 2) && !family.remove({"1", "2"}));
  family.with("1", "2").inc();
  CHECK(family.remove({"1", "2"}));
  const std::vector<std::string> many(100, "v");
  CHECK(!family.remove(many) && !family.remove(many.data(), 65));
  family.with(many).inc();
  CHECK(page_of(segment).find("\nlisted_total") == std::string::npos);
}

void no_segment() {
  const shmetrics::segment none;
  CHECK(!none && none.try_register_counter({"a", ""}).error().status() == status_code::null_argument);
  CHECK(none.try_render().error().status() == status_code::null_argument &&
        none.try_count("a").error().status() == status_code::null_argument);
  CHECK(none.expire() == 0 && none.next_warning().empty() && !none.attached() && none.is_current());
  CHECK(none.try_add_collector([](shmetrics::collection&) {}).error().status() == status_code::null_argument);
  const shmetrics::reader no_reader;
  CHECK(!no_reader && no_reader.try_render().error().status() == status_code::null_argument);
}

void reading_values() {
  const auto segment = scratch();
  const auto g = segment.try_register_gauge({"g", ""}, shmetrics::gauge_mode::shared)->with();
  g += 5;
  g -= 1.5;
  CHECK(g.value() == 3.5);
  const auto c = segment.try_register_counter({"c", ""})->with();
  c.set(7);
  CHECK(c.value() == 7);
  c.reset();
  CHECK(c.value() == 0);
  const auto h = segment.try_register_histogram({"h", "", {}, "", shmetrics::exponential_buckets(1, 2, 3)})->with();
  h.observe(3);
  h.observe(5);
  CHECK(h.value().count == 2 && h.value().sum == 8 && shmetrics::summary().value().count == 0);
  CHECK(shows(segment, "\nh_bucket{le=\"4.0\"} 1\n"));
  CHECK(shmetrics::linear_buckets(1, 2, 3) == std::vector<double>({1, 3, 5}));
  // Wrong bounds are refused, and no histogram gets the default ones for them.
  const double infinite = std::numeric_limits<double>::infinity();
  for (const auto& wrong : {shmetrics::linear_buckets(1, 0, 3), shmetrics::linear_buckets(1, -1, 2),
                            shmetrics::exponential_buckets(0, 2, 3), shmetrics::exponential_buckets(1, infinite, 3),
                            shmetrics::linear_buckets(1, 1, SHMETRICS_MAX_BUCKETS + 1),
                            shmetrics::linear_buckets(1, 1, SIZE_MAX), shmetrics::exponential_buckets(1, 2, 0)}) {
    const auto refused = segment.try_register_histogram({"wrong", "", {}, "", wrong});
    CHECK(!refused && refused.error().status() == shmetrics::status_code::invalid_argument);
  }
  const auto most = shmetrics::linear_buckets(0, 1, SHMETRICS_MAX_BUCKETS);
  CHECK(most.size() == SHMETRICS_MAX_BUCKETS && segment.try_register_histogram({"most", "", {}, "", most}));
}

void points() {
  const auto segment = scratch();
  segment.try_register_counter({"c", "Help.", {"a"}})->with("1").add(3);
  segment.try_register_histogram({"h_seconds", "", {}, "seconds", {1, 2}})
      ->with()
      .observe_with_exemplar(1.5, {{"t", "x"}});
  shmetrics::spec lights{"lights", ""};
  lights.states = {"red", "green"};
  segment.try_register_state_set(lights)->with().set(1, true);
  int seen = 0;
  CHECK(bool(segment.try_each_point([&](const shmetrics::point& p) {
    if (p.name() == "c") {
      seen++;
      CHECK(p.kind() == shmetrics::kind::counter && p.help() == "Help." && p.whole() == 3U && p.value() == 3);
      CHECK(p.labels().size() == 1 && p.label("a") == "1" && p.label("b").empty() && p.counts().empty());
    } else if (p.name() == "h_seconds") {
      seen++;
      CHECK(p.unit() == "seconds" && p.bounds().size() == 2 && p.counts().size() == 3 && p.counts()[1] == 1);
      CHECK(p.exemplars().size() == 1 && shmetrics::view(p.exemplars()[0].labels[0].value) == "x" && !p.whole());
      CHECK(p.native_buckets() == nullptr && p.raw().value == 1.5 && p.quantiles().empty());
    } else if (p.name() == "lights") {
      seen++;
      CHECK(shmetrics::view(p.state_names()[1]) == "green" && !p.states()[0] && p.states()[1]);
    }
  })));
  CHECK(seen == 3);
  seen = 0;
  CHECK(bool(segment.try_each_point([&](const shmetrics::point&) { return ++seen < 1; })));
  CHECK(seen == 1);
  seen = 0;
  CHECK(bool(segment.try_each_point([&](const shmetrics::point& p) { seen += p.name() == "c"; }, {"c_total"})));
  CHECK(seen == 1);
}

void collectors() {
  const auto segment = scratch();
  const std::string disk = "a";
  int calls = 0;
  auto added = segment.try_add_collector([&calls, disk](shmetrics::collection& page) {
    calls++;
    CHECK(bool(page.try_gauge("free_bytes", "Free.", {{"disk", disk}}, 1.5)));
    CHECK(bool(page.try_counter("reads_total", "Reads.", {}, 2)));
    CHECK(page.try_gauge("not a name", "", {}, 1).error().status() == status_code::invalid_name);
  });
  CHECK(bool(added));
  CHECK(bool(segment.try_add_collector([](shmetrics::collection& page) {
    (void)page.try_gauge("left_out", "", {}, 1);
    return false;
  })));
  CHECK(shows(segment, "# HELP free_bytes Free.\n# TYPE free_bytes gauge\nfree_bytes{disk=\"a\"} 1.5\n"));
  CHECK(shows(segment, "\nreads_total 2\n") && calls == 2 && page_of(segment).find("left_out") == std::string::npos);
  added->remove();
  added->remove();
  CHECK(page_of(segment).find("free_bytes") == std::string::npos && calls == 3);
}

void warnings_and_expiry() {
  const auto segment = *shmetrics::segment::try_open(shmetrics::options().anonymous().max_series(1));
  const auto family = *segment.try_register_counter({"crowded", "", {"a"}});
  for (const char* value : {"1", "2", "3"}) family.with(value).inc();
  CHECK(!segment.next_warning().empty());
  while (!segment.next_warning().empty()) {
  }
  CHECK(segment.expire() == 0);
}

struct removed_at_end {
  std::string name = "wrapper-" + std::to_string(getpid());
  ~removed_at_end() { CHECK(bool(shmetrics::segment::try_remove(name))); }
};

void reading() {
  const removed_at_end named;
  auto how = shmetrics::options(named.name).create_new().mode(0640).max_series(1000).max_processes(8).allow_disk();
  const auto segment = shmetrics::segment::try_open(how);
  CHECK(bool(segment));
  (*segment->try_register_counter({"seen", "Help."})).with().inc();

  auto opened = shmetrics::reader::try_open(named.name);
  CHECK(bool(opened));
  shmetrics::reader reader = std::move(*opened);
  std::string page;
  std::size_t pieces = 0;
  CHECK(bool(reader.try_each_chunk([&](std::string_view piece) { page += piece, pieces++; }, 16)));
  CHECK(page.find("\nseen_total 1\n") != std::string::npos && pieces == (page.size() + 15) / 16);

  pieces = 0;
  CHECK(bool(reader.try_each_chunk([&](std::string_view) { return ++pieces < 3; }, 1)));
  CHECK(pieces == 3);
  const shmetrics::reader kept = std::move(reader);
  CHECK(bool(kept.try_render()));
  CHECK(opened->try_render().error().status() == status_code::null_argument);
}

std::string sample_of(const std::string& page, const std::string& name) {
  const auto at = page.find("\n" + name + " ") + 1;
  return page.substr(at, page.find('\n', at) - at);
}

bool ends_in(std::string_view page, std::string_view end) {
  return page.size() >= end.size() && page.substr(page.size() - end.size()) == end;
}

void summaries() {
  const auto segment = scratch();
  const auto sizes = *segment.try_register_summary({"sizes", "Help.", {"of"}});
  sizes.with("all").observe(2.0);
  { const auto timed = sizes.with("all").start_timer(); }
  CHECK(shows(segment, "# TYPE sizes summary\nsizes_sum{of=\"all\"} 2.0"));
  CHECK(shows(segment, "\nsizes_count{of=\"all\"} 2\n"));
  const auto gone = sizes.with({"gone"});
  gone.observe(1.0);
  CHECK(!gone.is_removed() && sizes.remove("gone") && gone.is_removed() && !sizes.remove("gone"));
  CHECK(sizes.clear() == 1);
  sizes.with().observe(1);
  shmetrics::summary().observe(1);
  shmetrics::summary().start_timer().stop();
  CHECK(page_of(segment).find("\nsizes_count") == std::string::npos && !shmetrics::summary().is_removed());
}

void native_histograms() {
  const auto segment = scratch();
  shmetrics::spec latency{"latency", "Help.", {"of"}};
  latency.native_factor = 1.1;
  latency.native_max_buckets = 1;
  latency.buckets = {1.0};
  const auto native = (*segment.try_register_histogram(latency)).with("all");
  native.observe_with_exemplar(0.75, {{"trace_id", "abc"}});
  native.observe(3.0);
  const auto page = *segment.try_render(shmetrics::format::openmetrics2);
  CHECK(page.find("latency{of=\"all\"} {count:2,sum:3.75,schema:-4,zero_threshold:1.0,zero_count:1,"
                  "positive_spans:[1:1],positive_buckets:[1],bucket:[1.0:1,+Inf:2]} st@") != std::string::npos);
  CHECK(page.find(" # {trace_id=\"abc\"} 0.75 ") != std::string::npos);
  latency.native_zero_threshold = 0.5;
  CHECK(!segment.try_register_histogram(latency));
  shmetrics::spec sizes{"sizes", "Help."};
  sizes.quantiles = {0.5};
  sizes.quantile_max_age = std::chrono::hours(1);
  (*segment.try_register_summary(sizes)).with().observe(64.0);
  CHECK(shows(segment, "# TYPE sizes summary\nsizes{quantile=\"0.5\"} 6"));
}

void durations() {
  using namespace std::chrono_literals;
  const auto segment = scratch();
  shmetrics::spec waited{"waited_seconds", "", {"of"}};
  waited.buckets = {1.0};
  waited.expire_after = 90s;
  waited.exemplar_interval = std::chrono::nanoseconds(1);
  const auto family = *segment.try_register_histogram(waited);
  family.with("all").observe(250ms);
  family.with("all").observe(2min);
  family.with("all").observe(1);  // a number is one of seconds here
  family.with("all").observe_with_exemplar(125000us, {{"trace_id", "abc"}});
  CHECK(shows(segment, "\nwaited_seconds_sum{of=\"all\"} 121.375\nwaited_seconds_count{of=\"all\"} 4\n"));
  CHECK(segment.try_render(shmetrics::format::openmetrics)->find(" # {trace_id=\"abc\"} 0.125 ") != std::string::npos);
  waited.expire_after = 2min;
  CHECK(segment.try_register_histogram(waited).error().status() == status_code::conflict);
  waited.expire_after = -1s;
  CHECK(segment.try_register_histogram(waited).error().status() == status_code::invalid_argument);
  shmetrics::spec forever{"forever", "", {"of"}};
  forever.expire_after = std::chrono::hours::max();
  CHECK(bool(segment.try_register_counter(forever)));
  const auto ages = (*segment.try_register_gauge_histogram({"ages", ""})).with();
  ages.observe(500ms);
  ages.unobserve(500ms);
  CHECK(shows(segment, "\nages_count 0\n"));
  (*segment.try_register_summary({"waits", ""})).with().observe(1500ms);
  CHECK(shows(segment, "\nwaits_sum 1.5\nwaits_count 1\n"));
  CHECK(bool(segment.try_observe("took_seconds", {}, 500ms)));
  CHECK(shows(segment, "\ntook_seconds_sum 0.5\ntook_seconds_count 1\n"));
}

void gauge_histograms() {
  const auto segment = scratch();
  shmetrics::spec ages{"ages", "", {"queue"}};
  ages.buckets = {1.0};
  const auto family = *segment.try_register_gauge_histogram(ages);
  const auto age = family.with("mail");
  age.observe(0.5);
  age.observe(2.0);
  age.unobserve(2.0);
  age.unobserve(2.0);  // not there any more: rejected
  CHECK(shows(segment, "\nages_sum{queue=\"mail\"} 0.5\nages_count{queue=\"mail\"} 1\n"));
  CHECK(shows(segment, "\nshmetrics_updates_rejected_total 1\n"));
  CHECK(!age.is_removed() && family.remove("mail") && age.is_removed() && family.clear() == 0);
  shmetrics::gauge_histogram().unobserve(1);
  shmetrics::gauge_histogram().observe(1);
}

void unknowns() {
  const auto segment = scratch();
  const auto family = *segment.try_register_unknown({"imported", "", {"from"}});
  family.with("there").set(7);
  CHECK(shows(segment, "# TYPE imported untyped\nimported{from=\"there\"} 7\n"));
  CHECK(family.remove("there") && family.clear() == 0);
}

void states() {
  const auto segment = scratch();
  shmetrics::spec lights{"lights", "", {"room"}};
  CHECK(segment.try_register_state_set(lights).error().status() == status_code::invalid_argument);
  CHECK(segment.try_register_enumeration(lights).error().status() == status_code::invalid_argument);
  lights.states = {"red", "green"};
  const auto sets = *segment.try_register_state_set(lights);
  const auto set = sets.with("hall");
  set.set(0, true);
  set.set(1, true);
  set.set(0, false);
  set.set(2, true);
  CHECK(shows(segment, "\nlights{room=\"hall\",lights=\"red\"} 0\nlights{room=\"hall\",lights=\"green\"} 1\n"));
  CHECK(!set.is_removed() && sets.remove("hall") && set.is_removed());
  lights.name = "door";
  const auto doors = *segment.try_register_enumeration(lights);
  const auto door = doors.with("hall");
  CHECK(shows(segment, "\ndoor{room=\"hall\",door=\"red\"} 1\ndoor{room=\"hall\",door=\"green\"} 0\n"));
  door.set(1);
  door.set(2);
  CHECK(shows(segment, "\ndoor{room=\"hall\",door=\"red\"} 0\ndoor{room=\"hall\",door=\"green\"} 1\n"));
  CHECK(doors.clear() == 1 && door.is_removed());
  CHECK(shows(segment, "\nshmetrics_updates_rejected_total 2\n"));
  shmetrics::state_set().set(0, true);
  shmetrics::enumeration().set(0);
  CHECK(!shmetrics::state_set().is_removed() && !shmetrics::enumeration().is_removed());
  lights.states = {"red", "amber"};
  CHECK(segment.try_register_enumeration(lights).error().status() == status_code::conflict);
  CHECK(segment.try_register_state_set(lights).error().status() == status_code::conflict);
}

void infos() {
  const auto segment = scratch();
  const auto build = *segment.try_register_info({"build", "", {"version"}});
  CHECK(bool(build.with("1.2")) && !build.with("too", "many") && !build.with());
  CHECK(shows(segment, "\nbuild_info{version=\"1.2\"} 1\n"));
  CHECK(build.remove("1.2") && !build.remove("1.2") && build.clear() == 0);
  CHECK(!shmetrics::info() && !shmetrics::info_family().with("1.2") && shmetrics::info_family().clear() == 0);
}

void labels_of_the_segment() {
  const removed_at_end named;
  const std::string app = "shop";
  const auto how = shmetrics::options(named.name).label("app", app).label("zone", "b\"c");
  const auto segment = shmetrics::segment::try_open(how);
  CHECK(bool(segment));
  segment->try_register_counter({"labelled", "", {"a"}})->with("1").inc();
  CHECK(shows(*segment, "\nlabelled_total{app=\"shop\",zone=\"b\\\"c\",a=\"1\"} 1\n"));
  CHECK(bool(shmetrics::segment::try_open(shmetrics::options(named.name).attach())));
  const auto other = shmetrics::segment::try_open(shmetrics::options(named.name).label("app", "crm"));
  CHECK(!other && other.error().status() == status_code::conflict);
  const auto bad = shmetrics::segment::try_open(shmetrics::options().anonymous().label("a\nb", ""));
  CHECK(!bad && bad.error().status() == status_code::invalid_name);
}

// A child that has used the segment is gone, so the next one begins anew; as long as it lives
// nobody does.
void begun_anew() {
  const removed_at_end named;
  const auto how = shmetrics::options(named.name).reset_if_unused();
  for (int round = 0; round < 2; round++) {
    const pid_t child = fork();
    if (child == 0) {
      const auto segment = shmetrics::segment::try_open(how);
      if (!segment) _exit(2);
      (*segment->try_register_counter({"begun", ""})).with().inc();
      const auto again = shmetrics::segment::try_open(how);  // in use, by this process
      _exit(again && shows(*again, "\nbegun_total 1\n") ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  }
}

void formats() {
  const auto segment = scratch();
  segment.try_register_counter({"served", "Help."})->with().add_with_exemplar(2, {{"trace_id", "c0ffee"}});
  segment.try_register_histogram({"took", "Help."})->with().observe_with_exemplar(0.1, {{"trace_id", "facade"}});
  const auto asked = shmetrics::exposition::negotiate("application/openmetrics-text;version=1.0.0");
  CHECK(asked.content_type() == "application/openmetrics-text; version=1.0.0; charset=utf-8");
  const auto page = *segment.try_render(asked);
  CHECK(page.find("served_total 2 # {trace_id=\"c0ffee\"} 2.0 ") != std::string::npos);
  CHECK(page.find("took_bucket{le=\"0.1\"} 1 # {trace_id=\"facade\"} 0.1 ") != std::string::npos);
  CHECK(ends_in(page, "\n# EOF\n") && page.find("_created") == std::string::npos);
  const auto created = *segment.try_render(shmetrics::exposition(shmetrics::format::openmetrics).created());
  CHECK(created.find("\nserved_created ") != std::string::npos);
  const auto newer = *segment.try_render(shmetrics::format::openmetrics2);
  CHECK(sample_of(newer, "served_total").find(" st@") != std::string::npos);
  const auto protobuf = *segment.try_render(shmetrics::format::protobuf, {"served_total"});
  CHECK(protobuf.size() > 15 && protobuf.size() - 1 == static_cast<unsigned char>(protobuf[0]));
  CHECK(protobuf.substr(1, 14) == "\x0a\x0cserved_total");

  std::string pieces;
  const auto append = [&pieces](std::string_view piece) { pieces += piece; };
  CHECK(bool(segment.try_each_chunk(append, 7, shmetrics::format::openmetrics, {"served_total", "took_count"})));
  CHECK(pieces == *segment.try_render(shmetrics::format::openmetrics, {"took_bucket", "served"}));
  CHECK(pieces.find("shmetrics_") == std::string::npos && ends_in(pieces, "\n# EOF\n"));
  CHECK(*segment.try_render(shmetrics::format::openmetrics, {"absent"}) == "# EOF\n");
  CHECK(segment.try_render({}, {"\xff"}).error().status() == status_code::invalid_name);
}

void expositions() {
  using shmetrics::escaping, shmetrics::exposition, shmetrics::format;
  CHECK(exposition().content_type() == shmetrics::content_type());
  CHECK(exposition::negotiate({}).content_type() == shmetrics::content_type());
  CHECK(exposition(format::text1).content_type() == "text/plain; version=1.0.0; charset=utf-8");
  CHECK(ends_in(exposition(format::text1, escaping::allow_utf8).content_type(), "; escaping=allow-utf-8"));
  CHECK(ends_in(exposition(format::protobuf, escaping::dots).content_type(), "; encoding=delimited; escaping=dots"));
  const auto values = exposition::negotiate("application/openmetrics-text;version=2.0.0;escaping=values");
  CHECK(values.raw().format == SHMETRICS_FORMAT_OPENMETRICS2 && values.raw().escaping == SHMETRICS_ESCAPING_VALUES);
  const auto none = static_cast<format>(99);
  CHECK(exposition(none).content_type().empty());
  CHECK(exposition(format::text, static_cast<escaping>(5)).content_type().empty());
  CHECK(scratch().try_render(none).error().status() == status_code::invalid_argument);
  CHECK(shmetrics::accepts_gzip("gzip, br") && !shmetrics::accepts_gzip("br") && !shmetrics::accepts_gzip({}));
}

void exemplars() {
  const auto segment = scratch();
  shmetrics::spec each{"each", ""};
  const auto c = segment.try_register_counter(each)->with();
  c.add_with_exemplar(1, {{"a", std::string(127, 'x')}});  // as many characters as there may be
  CHECK(shows(segment, "\nshmetrics_updates_rejected_total 0\n"));
  const auto other = segment.try_register_counter({"other", ""})->with();
  other.add_with_exemplar(1, {{"a", std::string(128, 'x')}});
  CHECK(other.value() == 1 && shows(segment, "\nshmetrics_updates_rejected_total 1\n"));
#define TEN {"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}, {"e", ""}, {"f", ""}, {"g", ""}, {"h", ""}, {"i", ""}, {"j", ""}
  other.add_with_exemplar(1, {TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN});
#undef TEN
  CHECK(other.value() == 2 && shows(segment, "\nshmetrics_updates_rejected_total 2\n"));
  const auto page = *segment.try_render(shmetrics::format::openmetrics);
  CHECK(sample_of(page, "each_total").find(" # {a=\"xxx") != std::string::npos);
  CHECK(sample_of(page, "other_total") == "other_total 2");
  shmetrics::counter().add_with_exemplar(1, {{"a", "b"}});
  shmetrics::histogram().observe_with_exemplar(1, {});
}

void naming_all_in_one_call() {
  const auto segment = scratch();
  for (int i = 0; i < 3; i++) {
    CHECK(bool(segment.try_count("named_total", {{"method", "GET"}, {"path", ""}}, 2)));
    CHECK(bool(segment.try_count("alone")));
    CHECK(bool(segment.try_observe("named_seconds", {{"method", "GET"}}, 0.3)));
  }
  CHECK(shows(segment, "\nnamed_total{method=\"GET\",path=\"\"} 6\n") && shows(segment, "\nalone_total 3\n"));
  CHECK(shows(segment, "\nnamed_seconds_count{method=\"GET\"} 3\n"));
  CHECK(segment.try_count("named", {{"method", "GET"}}).error().status() == status_code::conflict);
  CHECK(segment.try_observe("named", {}, 1).error().status() == status_code::conflict);
  CHECK(segment.try_count("").error().status() == status_code::invalid_name);
#define TEN {"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}, {"e", ""}, {"f", ""}, {"g", ""}, {"h", ""}, {"i", ""}, {"j", ""}
  CHECK(!segment.try_count("many", {TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN}));
#undef TEN
}

void names_as_they_are() {
  const auto segment = *shmetrics::segment::try_open(shmetrics::options().anonymous().short_bounds());
  shmetrics::spec exact{"nginx_connections_accepted", ""};
  exact.exact_name = true;
  segment.try_register_counter(exact)->with().inc();
  CHECK(shows(segment, "\nnginx_connections_accepted 1\n"));
  exact.exact_name = false;
  CHECK(segment.try_register_counter(exact).error().status() == status_code::conflict);
  segment.try_register_histogram({"bounds", "", {}, "", {1, 2.5}})->with().observe(1);
  CHECK(shows(segment, "\nbounds_bucket{le=\"1\"} 1\nbounds_bucket{le=\"2.5\"} 1\n"));
  segment.try_register_counter({"orders", "", {"a", "b"}})->with("1", "2").inc();
  segment.try_register_counter({"orders", "", {"b", "a"}})->with("2", "1").inc();
  CHECK(bool(segment.try_count("orders", {{"b", "2"}, {"a", "1"}})));
  CHECK(shows(segment, "\norders_total{a=\"1\",b=\"2\"} 3\n"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(segment.try_count("orders", {{"b", "2"}, {"a", "1"}}, nan).error().status() == status_code::invalid_argument);
  CHECK(segment.try_observe("unmade", {}, nan).error().status() == status_code::invalid_argument);
}

void redefinitions() {
  const auto segment = scratch();
  const auto old = segment.try_register_counter({"c", "", {"a"}})->with("1");
  shmetrics::spec wider{"c", "", {"a", "b"}};
  CHECK(segment.try_register_counter(wider).error().status() == status_code::conflict);
  wider.replace = true;
  const auto replacement = segment.try_register_counter(wider)->with("1", "2");
  replacement.inc();
  old.inc();
  CHECK(old.is_removed() && shows(segment, "\nc_total{a=\"1\",b=\"2\"} 1\n"));
  CHECK(*segment.try_unregister("c") && !*segment.try_unregister("c"));
  replacement.inc();
  CHECK(page_of(segment).find("\nc_total") == std::string::npos);
  CHECK(shows(segment, "\nshmetrics_stale_updates_total 2\n"));
}

void revisions() {
  const removed_at_end named;
  const auto segment = *shmetrics::segment::try_open(shmetrics::options(named.name).revision(2));
  CHECK(bool(segment.try_register_counter({"c", "", {"a"}})));
  // In the process of an earlier revision, neither is done.
  const auto earlier = *shmetrics::segment::try_open(shmetrics::options(named.name).revision(1));
  shmetrics::spec other{"c", ""};
  other.replace = true;
  CHECK(earlier.try_register_counter(other).error().status() == status_code::conflict);
  CHECK(earlier.try_unregister("c").error().status() == status_code::conflict);
  CHECK(bool(shmetrics::segment::try_open(shmetrics::options(named.name).revision(3))));
  CHECK(bool(segment.try_register_counter(other)));
}

void users() {
  CHECK(scratch().attached() == 1U && scratch().is_current());
  CHECK(shmetrics::segment::try_is_in_use("absent").error().status() == status_code::not_found);
  const std::string name = "wrapper-users-" + std::to_string(getpid());
  const auto segment = *shmetrics::segment::try_open(name);
  CHECK(*shmetrics::segment::try_is_in_use(name) && segment.is_current());
  CHECK(bool(shmetrics::segment::try_remove(name)) && !segment.is_current());
}

#ifdef __cpp_exceptions
template <class F>
status_code thrown(F f) {
  try {
    f();
  } catch (const shmetrics::error& failure) {
    return failure.status();
  }
  return status_code::ok;
}

void throwing() {
  const auto segment = shmetrics::segment::open(shmetrics::options().anonymous());
  segment.set_identity(1);
  segment.attach_process();
  segment.register_counter({"thrown", "Help."}).with().inc();
  segment.register_counter({"unregistered", ""});
  CHECK(segment.unregister("unregistered") && !segment.unregister("unregistered"));
  CHECK(thrown([] { shmetrics::segment::is_in_use("absent"); }) == status_code::not_found);
  CHECK(segment.render().find("\nthrown_total 1\n") != std::string::npos);
  std::string page;
  segment.each_chunk([&page](std::string_view piece) { page += piece; });
  CHECK(page.find("\nthrown_total 1\n") != std::string::npos);
  const auto newer = shmetrics::format::openmetrics;
  segment.count("thrown_once", {{"a", "b"}});
  segment.observe("thrown_seconds", {}, 1);
  segment.observe("thrown_seconds", {}, std::chrono::milliseconds(1));
  CHECK(thrown([&] { segment.count("thrown_seconds"); }) == status_code::conflict);
  CHECK(thrown([&] { segment.observe("thrown_once", {}, 1); }) == status_code::conflict);
  CHECK(segment.render(newer, {"thrown_total"}).find("\nthrown_total 1\n") != std::string::npos);
  page.clear();
  segment.each_chunk([&page](std::string_view piece) { page += piece; }, 100, newer, {"absent"});
  CHECK(page == "# EOF\n");
  segment.add_collector([](shmetrics::collection& added) {
    added.gauge("thrown_gauge", "", {}, 1);
    added.counter("thrown_counter", "", {}, 1);
  });
  segment.add_collector([](shmetrics::collection& added) {
    added.gauge("left_out_thrown", "", {}, 1);
    added.gauge("not a name", "", {}, 1);
  });
  CHECK(shows(segment, "\nthrown_gauge 1\n") && shows(segment, "\nthrown_counter_total 1\n"));
  CHECK(segment.render().find("left_out_thrown") == std::string::npos);
  int points = 0;
  segment.each_point([&](const shmetrics::point&) { points++; });
  CHECK(points > 3);
  segment.register_summary({"thrown_summary", ""}).with().observe(1);
  segment.register_gauge_histogram({"thrown_ages", ""}).with().observe(1);
  segment.register_unknown({"thrown_unknown", ""}).with().set(1);
  segment.register_info({"thrown_build", "", {"a"}}).with("1");
  shmetrics::spec states{"thrown_states", ""};
  states.states = {"on"};
  segment.register_state_set(states).with().set(0, true);
  CHECK(thrown([&] { segment.register_enumeration(states); }) == status_code::conflict);
  CHECK(thrown([&] { segment.render(static_cast<shmetrics::format>(5)); }) == status_code::invalid_argument);
  CHECK(thrown([&] { segment.register_gauge({"thrown", ""}, shmetrics::gauge_mode::all); }) == status_code::conflict);
  CHECK(thrown([&] { segment.register_histogram({"1\n", ""}); }) == status_code::invalid_name);
  CHECK(thrown([] { shmetrics::reader::open("absent"); }) == status_code::not_found);
  CHECK(thrown([] { shmetrics::segment::open(shmetrics::options("absent").attach()); }) == status_code::not_found);
  CHECK(thrown([] { shmetrics::segment::remove("absent"); }) == status_code::not_found);
  bool passed_on = false;
  try {  // a sink's own exception comes through, and the cursor is freed
    segment.each_chunk([](std::string_view) { throw 1; });
  } catch (int) {
    passed_on = true;
  }
  CHECK(passed_on);
}
#else
void throwing() {}
#endif

}  // namespace

int main() {
  bundles();
  counters();
  removed_label_sets();
  wrong_numbers_of_values();
  gauges();
  histograms();
  failures();
  reading();
  summaries();
  gauge_histograms();
  durations();
  native_histograms();
  unknowns();
  states();
  infos();
  options_that_exclude_each_other();
  options_that_outlive_their_texts();
  labels_of_the_segment();
  texts_that_go_or_are_not_there();
  values_in_lists();
  no_segment();
  reading_values();
  points();
  collectors();
  warnings_and_expiry();
  begun_anew();
  formats();
  expositions();
  exemplars();
  naming_all_in_one_call();
  names_as_they_are();
  redefinitions();
  revisions();
  users();
  throwing();
  CHECK(shmetrics::content_type() == shmetrics_content_type() && !shmetrics::version().empty());
  return failed != 0;
}
