//! Updates that name family and labels in one call.

use super::{in_model, value, State};
use crate::ffi::{self, Label, Str};
use crate::input::Input;
use crate::model::{Kind, Spec, Text, Update};

impl State<'_> {
    /// Updates by name, mostly of a family that is there.
    pub(super) fn named(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let there = &self.models[segment].families;
        let known = (!there.is_empty() && !input.one_in(4)).then(|| &there[usize::from(input.byte()) % there.len()]);
        let few = || (0..input.below(4)).map(|i| format!("l{i}")).collect();
        let labels: Vec<String> = known.map_or_else(few, |family| family.labels.clone());
        let name = match known {
            Some(family) => Some(family.base.clone().into_bytes()),
            None if input.one_in(16) => value(input),
            None => Some(input.pick(&["a", "b", "c", "a_total", "a_count", "named", "named_total"]).into()),
        };
        let kind = match known.map(|family| family.kind) {
            Some(kind @ (Kind::Counter | Kind::Histogram)) if !input.one_in(8) => kind,
            _ if input.one_in(2) => Kind::Counter,
            _ => Kind::Histogram,
        };
        let values: Vec<Text> = labels.iter().map(|_| value(input)).collect();
        let v = input.float();

        let text = |text: &Text| text.as_ref().map_or(Str::null(5), Str::new);
        let pairs =
            labels.iter().zip(&values).map(|(name, v)| Label { name: Str::new(name.as_bytes()), value: text(v) });
        let pairs: Vec<Label> = pairs.collect();
        let (handle, p, count) = (self.segments[segment], pairs.as_ptr(), pairs.len());
        // SAFETY: a segment of this library; all strings live as long as the call.
        let status = unsafe {
            match kind {
                Kind::Counter => ffi::shmetrics_counter_add_named(handle, text(&name), p, count, v),
                _ => ffi::shmetrics_histogram_observe_named(handle, text(&name), p, count, v),
            }
        };
        let labels = labels.into_iter().map(|name| Some(name.into_bytes())).collect();
        let spec = Spec { labels: Some(labels), ..Spec::plain(kind, name) };
        match self.models[segment].named(&spec, &in_model(&values), v) {
            Ok(at) => {
                assert_eq!(status, ffi::OK, "{}: {spec:?}", ffi::last_error());
                let update = if kind == Kind::Counter { Update::Add(v) } else { Update::Observe(v) };
                self.models[segment].update(at, update);
            }
            Err(faults) => assert!(faults.allow(status), "status {status}, faults {faults:?}, of {spec:?}"),
        }
    }
}
