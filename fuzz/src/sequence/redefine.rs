//! Families that are registered with another definition, or unregistered.

use super::{spec, value, State};
use crate::ffi::{self, Str};
use crate::input::Input;
use crate::model::Text;
use crate::native::Native;

impl State<'_> {
    /// Registers with `replace`: mostly a name that has been registered before.
    pub(super) fn replace(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let known = self.known(segment, input);
        let mut spec = spec(input);
        if known.is_some() {
            spec.native = Native::of(known.as_deref());
            spec.name = known;
        }
        spec.replace = true;
        self.register_as(segment, &spec);
    }

    /// Unregisters a name: mostly one that has been registered.
    pub(super) fn unregister(&mut self, input: &mut Input<'_>) {
        let segment = input.below(3);
        let mut name = self.known(segment, input).or_else(|| value(input));
        let suffix = ["", "", "_total", "_info"][input.below(4)];
        name.iter_mut().for_each(|name| name.extend_from_slice(suffix.as_bytes()));
        let text = name.as_ref().map_or(Str::null(5), Str::new);
        let mut done = false;
        let to = if input.one_in(8) { std::ptr::null_mut() } else { &raw mut done };
        // SAFETY: a segment of this library, a string of ours, and room for the answer, or NULL.
        let status = unsafe { ffi::shmetrics_unregister(self.segments[segment], text, to) };
        match self.models[segment].unregister(&name) {
            Ok(expected) => {
                assert_eq!(status, ffi::OK, "{}: {name:?}", ffi::last_error());
                assert_eq!(done, expected && !to.is_null(), "{name:?}");
            }
            Err(expected) => assert_eq!((status, done), (expected, false), "{name:?}"),
        }
    }

    /// The name of some family that is or was there.
    fn known(&self, segment: usize, input: &mut Input<'_>) -> Text {
        let there = &self.models[segment].families;
        let at = usize::from(input.byte());
        (!there.is_empty() && at < 192).then(|| there[at % there.len()].base.clone().into_bytes())
    }
}
