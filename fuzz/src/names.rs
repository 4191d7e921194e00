//! Names, label values, help, units and bounds: what the API accepts must come back from the page
//! as it was, and nothing that is accepted may break the page. Once through Rust and once through
//! C.

use std::cell::RefCell;

use shmetrics::{Builder, Counter, Error, Escaping, Exposition, Format, Gauge, GaugeMode, Histogram, Metric, Options};

use crate::ffi::{self, Handle};
use crate::input::Input;
use crate::model::{Kind, Segment, Spec, Text, Update};
use crate::page;
use crate::slate::Slate;
use crate::wrong::wrong;

struct Stage {
    c: Slate,
    handle: Handle,
    rust: Slate,
    segment: shmetrics::Segment,
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new({
        // Room for the longest texts, some times over.
        let slate = |what| Slate::new(what, 4 << 20, 0);
        let (c, rust) = (slate("names-c"), slate("names-rust"));
        let handle = ffi::open(&c.name, 2).expect("the segment is there");
        let segment = Options::new().name(&*rust.name).attach().open().expect("the segment is there");
        Stage { c, handle, rust, segment }
    });
}

/// Runs the target.
pub fn run(input: &[u8]) {
    STAGE.with_borrow_mut(|stage| {
        stage.c.wipe();
        stage.rust.wipe();
        let (mut in_c, mut in_rust) = (Segment::new(0), Segment::new(0));
        // The process' slot was taken before this identity was chosen, its cells are taken after.
        // SAFETY: a segment of this library.
        unsafe { ffi::shmetrics_segment_set_identity(stage.handle, 7) };
        stage.segment.set_identity(7);
        in_c.set_identity(7);
        in_rust.set_identity(7);
        let mut input = Input::new(input);
        for _ in 0..=input.below(4) {
            let spec = spec(&mut input);
            // Long values in each line of a histogram with many make a page of megabytes that says
            // nothing new.
            let longest = if spec.buckets.as_ref().is_some_and(|b| b.len() > 8) { 100 } else { usize::MAX };
            let values: Vec<Vec<Vec<u8>>> = (0..1 + input.below(3))
                .map(|_| spec.labels.iter().flatten().map(|_| value(&mut input, longest)).collect())
                .collect();
            let v = input.float();
            through_c(stage.handle, &spec, &values, v, &mut in_c);
            through_rust(&stage.segment, &spec, &values, v, &mut in_rust);
        }
        // SAFETY: as above, and a buffer that `page` has made.
        let page = ffi::page(|p, size, len| unsafe { ffi::shmetrics_segment_render(stage.handle, p, size, len) });
        in_c.check_by(wrong(), &page);
        in_rust.check_by(wrong(), &stage.segment.render(Format::Text));
        // Whatever is accepted is legal, and there once, however names are escaped.
        let samples = |escaping| {
            let families = page::parse(&stage.segment.render(Exposition::new(Format::Text).with_escaping(escaping)));
            families.expect("a page").iter().map(|f| f.samples.len()).collect::<Vec<_>>()
        };
        let counts = samples(Escaping::Underscores);
        assert_eq!(samples(Escaping::Dots), counts);
        assert_eq!(samples(Escaping::Values), counts);
    });
}

/// What a text is likely to be made of.
#[derive(Clone, Copy, PartialEq)]
struct Likely(&'static [&'static str]);

const NAME: Likely = Likely(&[
    "a", "_", "b", ":", "9", "_total", "_count", "_sum", "_bucket", "_created", "_seconds", ".", "-", "é", "\"", "\\",
    "U__",
]);
const LABEL: Likely = Likely(&["l", "_", "m", "9", "le", "pid", "__", "x", ".", "é", "\"", "\\", "="]);
const UNIT: Likely = Likely(&["seconds", "_", "a"]);
const VALUE: Likely = Likely(&["\\", "\"", "\n", "é", ",", "=", "}", "{", " ", "a", "\u{fffd}", "n", "\r", "#"]);

/// A text: of likely parts, any bytes, or one thing many times over.
fn text(input: &mut Input<'_>, likely: Likely) -> Vec<u8> {
    let how = input.byte();
    let n = usize::from(how) / 4 % 16;
    match how % 4 {
        0 | 1 => (0..n).flat_map(|_| input.pick(likely.0).bytes()).collect(),
        2 => input.bytes(n).to_vec(),
        // Up to lengths just above each limit: 512, 16 KiB, 64 KiB.
        _ => match n {
            0 => Vec::new(),
            1 => b"shmetrics_overflow".to_vec(),
            2 => b"shmetrics_x".to_vec(),
            n => {
                let limit = [512, 16 << 10, 65_535][n % 3];
                let part = input.pick(likely.0).as_bytes();
                let times = (limit / part.len() + 8).saturating_sub(input.below(32));
                part.repeat(times)
            }
        },
    }
}

fn value(input: &mut Input<'_>, longest: usize) -> Vec<u8> {
    let mut value = text(input, VALUE);
    value.truncate(longest);
    value
}

fn spec(input: &mut Input<'_>) -> Spec {
    let kind = match input.below(5) {
        0 | 1 => Kind::Counter,
        2 | 3 => Kind::Gauge(input.below(12) as u32),
        _ => Kind::Histogram,
    };
    let some = |input: &mut Input<'_>, likely: Likely| -> Text { (!input.one_in(64)).then(|| text(input, likely)) };
    let name = match input.below(4) {
        0 => Some(b"name".to_vec()),
        1 => Some([b"name_", &*text(input, NAME)].concat()),
        _ => some(input, NAME),
    };
    let help = if input.one_in(2) { some(input, VALUE) } else { Some(Vec::new()) };
    let unit = match input.below(6) {
        5 => some(input, UNIT),
        4 => Some(b"seconds".to_vec()),
        _ => Some(Vec::new()),
    };
    let count = match input.below(16) {
        n @ 0..=9 => n / 2,
        15 => 60 + input.below(8),
        _ => 1,
    };
    let labels = (0..count).map(|i| match input.below(3) {
        0 => Some(format!("l{i}").into_bytes()),
        1 => Some([format!("l{i}").as_bytes(), &*text(input, LABEL)].concat()),
        _ => some(input, LABEL),
    });
    let labels: Vec<Text> = labels.collect();
    let buckets = match input.below(4) {
        0 | 1 => None,
        2 => Some((0..input.below(8)).map(|_| input.float()).collect()),
        _ => {
            let (from, by) = (input.float(), input.float().abs());
            Some((0..[4, 30, 70, 1023, 1024, 1025, 1026][input.below(7)]).map(|i| from + by * f64::from(i)).collect())
        }
    };
    Spec { help, unit, labels: Some(labels), buckets, ..Spec::plain(kind, name) }
}

fn update(kind: Kind, v: f64) -> Update {
    match kind {
        Kind::Counter => Update::Add(v),
        Kind::Gauge(_) => Update::Set(v),
        Kind::Histogram => Update::Observe(v),
        other => unreachable!("`spec` makes no {other:?}"),
    }
}

fn through_c(segment: Handle, spec: &Spec, values: &[Vec<Vec<u8>>], v: f64, model: &mut Segment) {
    // SAFETY: a segment of this library.
    let (status, family) = unsafe { ffi::register(segment, spec) };
    let expected = match model.register(spec) {
        Err(faults) => {
            assert!(faults.allow(status), "status {status}, faults {faults:?}, of {spec:?}");
            return;
        }
        Ok(expected) => expected,
    };
    assert_eq!(status, ffi::OK, "{} {spec:?}", ffi::last_error());
    for values in values {
        let strings: Vec<ffi::Str> = values.iter().map(ffi::Str::new).collect();
        let at = model.with(expected, Some(values)).expect("the right number");
        model.update(at, update(spec.kind, v));
        let (p, n) = (strings.as_ptr(), strings.len());
        // SAFETY: a family of this library and of this kind; the strings live as long as the calls.
        unsafe {
            match spec.kind {
                Kind::Counter => ffi::shmetrics_counter_add(ffi::shmetrics_counter_with(family, p, n), v),
                Kind::Gauge(_) => ffi::shmetrics_gauge_set(ffi::shmetrics_gauge_with(family, p, n), v),
                Kind::Histogram => ffi::shmetrics_histogram_observe(ffi::shmetrics_histogram_with(family, p, n), v),
                other => unreachable!("`spec` makes no {other:?}"),
            }
        }
    }
}

/// A registered family as a look-up by any number of values.
type Lookup<M> = Box<dyn Fn(&[&str]) -> M>;

fn register<M: Metric + 'static>(builder: Builder<'_, M>, labels: &[&str]) -> Result<Lookup<M>, Error> {
    fn with<M: Metric + 'static, const N: usize>(b: Builder<'_, M>, labels: &[&str]) -> Result<Lookup<M>, Error> {
        let family = b.labels::<N>(labels.try_into().expect("N labels")).register()?;
        Ok(Box::new(move |values| family.with(values.try_into().expect("N values"))))
    }
    match labels.len() {
        0 => builder.register().map(|metric| Box::new(move |_: &[&str]| metric) as Lookup<M>),
        1 => with::<M, 1>(builder, labels),
        2 => with::<M, 2>(builder, labels),
        3 => with::<M, 3>(builder, labels),
        n => panic!("{n} labels"),
    }
}

fn status_of<T>(result: &Result<T, Error>) -> u32 {
    match result {
        Ok(_) => ffi::OK,
        Err(Error::InvalidArgument(_)) => ffi::INVALID_ARGUMENT,
        Err(Error::InvalidName(_)) => ffi::INVALID_NAME,
        Err(Error::Conflict(_)) => ffi::CONFLICT,
        Err(e) => panic!("{e}"),
    }
}

fn through_rust(segment: &shmetrics::Segment, spec: &Spec, values: &[Vec<Vec<u8>>], v: f64, model: &mut Segment) {
    // What Rust's types do not let through: bytes that are no text, unknown modes; and label counts
    // not spelled out here.
    let text = |t: &Text| t.as_ref().and_then(|t| String::from_utf8(t.clone()).ok());
    let labels: Option<Vec<String>> = spec.labels.iter().flatten().map(text).collect();
    let (Some(name), Some(help), Some(unit), Some(labels)) =
        (text(&spec.name), text(&spec.help), text(&spec.unit), labels)
    else {
        return;
    };
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    if labels.len() > 3 {
        return;
    }
    // Only histograms have bounds in Rust.
    let mut spec = spec.clone();
    if spec.kind != Kind::Histogram {
        spec.buckets = None;
    }
    let gauge = |mode: u32| segment.gauge(&name, &help, GaugeMode::ALL[mode as usize]).unit(&unit);
    let lookup: Result<Lookup<Box<dyn Fn()>>, Error> = match spec.kind {
        Kind::Counter => register(segment.counter(&name, &help).unit(&unit), &labels)
            .map(|f| changes(f, move |c: &Counter| c.add(v))),
        Kind::Gauge(mode) if mode as usize >= GaugeMode::ALL.len() => return,
        Kind::Gauge(mode) => register(gauge(mode), &labels).map(|f| changes(f, move |g: &Gauge| g.set(v))),
        Kind::Histogram => {
            let builder = segment.histogram(&name, &help).unit(&unit);
            let builder = match &spec.buckets {
                Some(bounds) => builder.buckets(bounds),
                None => builder,
            };
            register(builder, &labels).map(|f| changes(f, move |h: &Histogram| h.observe(v)))
        }
        other => unreachable!("`spec` makes no {other:?}"),
    };
    let expected = match model.register(&spec) {
        Err(faults) => {
            let status = status_of(&lookup);
            assert!(faults.allow(status), "status {status}, faults {faults:?}, of {spec:?}");
            return;
        }
        Ok(expected) => expected,
    };
    let lookup = lookup.unwrap_or_else(|e| panic!("{e}: {spec:?}"));
    for values in values {
        let Ok(texts) = values.iter().map(|v| std::str::from_utf8(v)).collect::<Result<Vec<_>, _>>() else { continue };
        let at = model.with(expected, Some(values)).expect("the right number");
        model.update(at, update(spec.kind, v));
        lookup(&texts)();
    }
}

/// Looks metrics up and leaves only the change to be made.
fn changes<M: 'static>(lookup: Lookup<M>, change: impl Fn(&M) + Copy + 'static) -> Lookup<Box<dyn Fn()>> {
    Box::new(move |values| {
        let metric = lookup(values);
        Box::new(move || change(&metric))
    })
}
