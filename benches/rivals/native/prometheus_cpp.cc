// prometheus-cpp, as Debian has it.
#include "contest.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

using prometheus::Histogram;

struct metric {
    prometheus::Registry registry;
    const input *in;
    std::vector<std::string> names;
    prometheus::Counter *counter;
    prometheus::Family<prometheus::Counter> *family;
    Histogram *histogram;
    prometheus::Gauge *gauge;
};

struct series {
    prometheus::Registry registry;
    std::vector<std::string> names;
    std::vector<double> bounds;
    prometheus::Family<prometheus::Counter> *counters = nullptr;
    prometheus::Family<Histogram> *histograms = nullptr;
    std::string page;
};

std::vector<std::string> names_of(const input *in) {
    std::vector<std::string> names;
    for (int k = 0; k < LABELS; k++) names.emplace_back(in->names[k].data, in->names[k].len);
    return names;
}

prometheus::Labels labels(const std::vector<std::string> &names, const text *set) {
    return {{names[0], {set[0].data, set[0].len}}, {names[1], {set[1].data, set[1].len}}, {names[2], {set[2].data, set[2].len}}};
}

}  // namespace

void *contest_make(int row, const input *in) {
    auto *m = new metric{};
    m->in = in;
    m->names = names_of(in);
    switch (row) {
    case INC: m->counter = &prometheus::BuildCounter().Name("held").Register(m->registry).Add({}); break;
    case LOOKUP: m->family = &prometheus::BuildCounter().Name("http_requests_total").Register(m->registry); break;
    case OBSERVE:
        m->histogram = &prometheus::BuildHistogram().Name("observed").Register(m->registry).Add(
            {}, Histogram::BucketBoundaries(in->bounds, in->bounds + BUCKETS));
        break;
    default: m->gauge = &prometheus::BuildGauge().Name("gauge").Register(m->registry).Add({});
    }
    return m;
}

void contest_work(void *made, int row, size_t start, size_t n) {
    auto *m = static_cast<metric *>(made);
    const input *in = m->in;
    switch (row) {
    case INC:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            m->counter->Increment();
        }
        break;
    case LOOKUP:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            m->family->Add(labels(m->names, in->sets[in->order[i & in->mask]])).Increment();
        }
        break;
    case OBSERVE:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            m->histogram->Observe(in->values[i & in->mask]);
        }
        break;
    case GAUGE_SET:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            m->gauge->Set(static_cast<double>(i));
        }
        break;
    case GAUGE_INC:
        for (size_t i = start; i < start + n; i++) {
            BARRIER();
            m->gauge->Increment();
        }
        break;
    }
}

void *contest_series(int kind, const input *in) {
    auto *s = new series{};
    s->names = names_of(in);
    s->bounds.assign(in->bounds, in->bounds + BUCKETS);
    if (kind == COUNTERS)
        s->counters = &prometheus::BuildCounter().Name("http_requests_total").Help("Requests.").Register(s->registry);
    else
        s->histograms = &prometheus::BuildHistogram().Name("http_request_seconds").Help("Time.").Register(s->registry);
    return s;
}

void contest_add(void *made, const text (*sets)[LABELS], size_t n) {
    auto *s = static_cast<series *>(made);
    for (size_t i = 0; i < n; i++) {
        if (s->counters)
            s->counters->Add(labels(s->names, sets[i])).Increment();
        else
            s->histograms->Add(labels(s->names, sets[i]), s->bounds).Observe(7.5);
    }
}

text contest_render(void *made) {
    auto *s = static_cast<series *>(made);
    s->page = prometheus::TextSerializer().Serialize(s->registry.Collect());
    return {s->page.data(), s->page.size()};
}

void contest_free(void *made) { delete static_cast<series *>(made); }
