// Holds shmetrics.hpp to its promises. Built with and without exceptions, as C++17 and C++20.
#include "shmetrics.hpp"

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
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
static_assert(noexcept(shmetrics::gauge().track()) && noexcept(shmetrics::histogram().start_timer()));

shmetrics::segment scratch() {
  auto opened = shmetrics::segment::try_open(shmetrics::options().anonymous().ceiling(8 << 20));
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
  auto bad = segment.try_register_counter({"not a name", "Help."});
  CHECK(!bad && bad.error().status() == status_code::invalid_name);
  CHECK(std::string_view(bad.error().what()).find("not a name") != std::string_view::npos);
  CHECK(bool(segment.try_register_counter({"same", "Help."})));
  const auto other = segment.try_register_gauge({"same", "Help."}, shmetrics::gauge_mode::max);
  CHECK(!other && other.error().status() == status_code::conflict);
  CHECK(segment.try_register_histogram({"", ""}).error().status() == status_code::invalid_name);
  CHECK(shmetrics::reader::try_open("absent").error().status() == status_code::not_found);
  CHECK(shmetrics::segment::try_open(shmetrics::options("absent").attach()).error().status() == status_code::not_found);
  CHECK(shmetrics::segment::try_remove("absent").error().status() == status_code::not_found);
  CHECK(bool(segment.try_set_identity(1)));
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
  CHECK(page.find("\nseen_total 1\n") != std::string::npos && pieces > page.size() / 16);

  pieces = 0;
  CHECK(bool(reader.try_each_chunk([&](std::string_view) { return ++pieces < 3; }, 1)));
  CHECK(pieces == 3);
  const shmetrics::reader kept = std::move(reader);
  CHECK(bool(kept.try_render()));
  CHECK(opened->try_render().error().status() == status_code::null_argument);
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
  segment.register_counter({"thrown", "Help."}).with().inc();
  CHECK(segment.render().find("\nthrown_total 1\n") != std::string::npos);
  std::string page;
  segment.each_chunk([&page](std::string_view piece) { page += piece; });
  CHECK(page.find("\nthrown_total 1\n") != std::string::npos);
  CHECK(thrown([&] { segment.register_gauge({"thrown", ""}, shmetrics::gauge_mode::all); }) == status_code::conflict);
  CHECK(thrown([&] { segment.register_histogram({"1", ""}); }) == status_code::invalid_name);
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

void other_types() {
  const auto segment = *shmetrics::segment::try_open(
      shmetrics::options().anonymous().ceiling(8 << 20).label("app", "shop").reset_if_unused());
  const auto sizes = *segment.try_register_summary({"sizes", "Help.", {"of"}});
  sizes.with("all").observe(2.0);
  { auto timed = sizes.with("all").start_timer(); }
  sizes.with("gone").observe(1.0);
  const auto gone = sizes.with("gone");
  CHECK(sizes.remove("gone") && gone.is_removed() && !sizes.remove("gone"));
  CHECK(shows(segment, "sizes_count{app=\"shop\",of=\"all\"} 2\n"));
  CHECK(sizes.clear() == 1);

  shmetrics::spec ages{"ages", "", {}};
  ages.buckets = {1.0};
  const auto age = segment.try_register_gauge_histogram(ages)->with();
  age.observe(0.5);
  age.observe(2.0);
  age.forget(2.0);
  CHECK(!age.is_removed() && shows(segment, "ages_count{app=\"shop\"} 1\n"));

  segment.try_register_unknown({"imported", ""})->with().set(7);
  CHECK(shows(segment, "# TYPE imported untyped\nimported{app=\"shop\"} 7\n"));

  shmetrics::spec lights{"lights", "", {"room"}};
  lights.states = {"red", "green"};
  const auto set = segment.try_register_state_set(lights)->with("hall");
  set.set(1, true);
  CHECK(shows(segment, "lights{app=\"shop\",room=\"hall\",lights=\"green\"} 1\n"));
  CHECK(segment.try_register_state_set(lights)->remove("hall") && set.is_removed());
  lights.name = "door";
  const auto doors = *segment.try_register_enumeration(lights);
  doors.with("hall").set(1);
  CHECK(shows(segment, "door{app=\"shop\",room=\"hall\",door=\"red\"} 0\n"));
  CHECK(doors.clear() == 1);

  const auto build = *segment.try_register_info({"build", "", {"version"}});
  CHECK(bool(build.with("1.2")) && !build.with("too", "many"));
  CHECK(shows(segment, "build_info{app=\"shop\",version=\"1.2\"} 1\n"));
  CHECK(build.remove("1.2") && build.clear() == 0);

  CHECK(segment.try_register_summary({"door", ""}).error().status() == status_code::conflict);
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
  CHECK(page.size() > 6 && page.substr(page.size() - 6) == "# EOF\n");
  CHECK(page.find("_created") == std::string::npos);
  const auto created = *segment.try_render(shmetrics::exposition(SHMETRICS_FORMAT_OPENMETRICS).created());
  CHECK(created.find("\nserved_created ") != std::string::npos);
  CHECK(shmetrics::exposition().content_type() == shmetrics::content_type());
  CHECK(segment.try_render(shmetrics::exposition(static_cast<shmetrics_format>(99))).error().status() ==
        status_code::invalid_argument);
  CHECK(shmetrics::accepts_gzip("gzip, br") && !shmetrics::accepts_gzip("br"));
}

}  // namespace

int main() {
  counters();
  removed_label_sets();
  wrong_numbers_of_values();
  gauges();
  histograms();
  failures();
  reading();
  other_types();
  formats();
  throwing();
  CHECK(shmetrics::content_type() == shmetrics_content_type() && !shmetrics::version().empty());
  return failed != 0;
}
