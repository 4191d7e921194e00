//! Repeats what has failed, after longer and longer pauses.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::{sleep, Instant};

/// The result of one attempt.
#[derive(Debug)]
pub(super) enum Attempt<T> {
    Done(T),
    /// A retry may succeed: after the time that the server asks for, if there is one.
    Retry(String, Option<Duration>),
    Fail(String),
}

/// The limits of the retries.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) retries: u32,
    /// No attempt begins after this time.
    pub(super) until: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// The maximum pause that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(120);

/// Repeats the attempt until it succeeds or a retry makes no sense. The error tells the number of
/// attempts.
pub(super) async fn retry<T, F: Future<Output = Attempt<T>>>(
    limits: Limits,
    mut attempt: impl FnMut() -> F,
) -> Result<T, String> {
    let mut tried = 0;
    loop {
        let (problem, asked) = match attempt().await {
            Attempt::Done(value) => return Ok(value),
            Attempt::Fail(problem) => return Err(problem),
            Attempt::Retry(problem, asked) => (problem, asked),
        };
        tried += 1;
        let wait = asked.map_or_else(|| jittered(pause(tried)), |asked| asked.min(LONGEST_ASKED));
        let is_late = limits.until.is_some_and(|until| Instant::now() + wait >= until);
        if tried > limits.retries || is_late {
            return Err(if tried == 1 { problem } else { format!("{problem} (tried {tried} times)") });
        }
        sleep(wait).await;
    }
}

/// The pause after so many attempts, which doubles each time.
fn pause(tried: u32) -> Duration {
    FIRST.saturating_mul(1 << tried.saturating_sub(1).min(10)).min(LONGEST)
}

/// A random pause between half of `pause` and `pause`, so that many clients do not retry together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 1000;
    pause / 2 + pause.mul_f64(random as f64 / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn run(answers: &[fn() -> Attempt<u8>], retries: u32) -> (Result<u8, String>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let tried = Cell::new(0);
        let done = runtime.block_on(retry(Limits { retries, until: None }, || {
            let answer = answers[tried.get().min(answers.len() - 1)]();
            tried.set(tried.get() + 1);
            async { answer }
        }));
        (done, tried.get())
    }

    fn later() -> Attempt<u8> {
        Attempt::Retry("busy".into(), Some(Duration::ZERO))
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        assert_eq!(run(&[later, later, || Attempt::Done(7)], 4), (Ok(7), 3));
        assert_eq!(run(&[|| Attempt::Fail("no".into())], 4), (Err("no".into()), 1));
        assert_eq!(run(&[later], 2), (Err("busy (tried 3 times)".into()), 3));
        assert_eq!(run(&[later], 0), (Err("busy".into()), 1));
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!([1, 2, 3, 99].map(pause), [FIRST, FIRST * 2, FIRST * 4, LONGEST]);
        let pause = jittered(Duration::from_secs(2));
        assert!(pause >= Duration::from_secs(1) && pause <= Duration::from_secs(2));
    }
}
