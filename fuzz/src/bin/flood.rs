//! Runs a target without the engine and its instrumentation, on as many random changes of kept
//! inputs as time allows: `flood TARGET SECONDS RUNS FOUND DIRECTORY...`. The kept inputs are in
//! the directories. An input that fails goes to FOUND. See `run.sh --flood`.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmetrics_fuzz::{vary::Random, TARGETS};

/// Inputs run so far.
static RUNS: AtomicU64 = AtomicU64::new(0);
/// The library has panicked, at its border to C or elsewhere.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The input that is being run, in a file's memory: it is there whatever happens to this process.
struct Current(&'static mut [u8]);

const LONGEST: usize = 32 << 10;

impl Current {
    fn new(path: &Path) -> Self {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.expect("a file for the current input");
        file.set_len(8 + LONGEST as u64).expect("the file takes its length");
        let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, std::os::fd::AsRawFd::as_raw_fd(&file));
        // SAFETY: a new mapping where the system likes it, which is never unmapped.
        Current(unsafe {
            let base = libc::mmap(std::ptr::null_mut(), 8 + LONGEST, protection, libc::MAP_SHARED, fd, 0);
            assert_ne!(base, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
            std::slice::from_raw_parts_mut(base.cast(), 8 + LONGEST)
        })
    }

    fn set(&mut self, input: &[u8]) {
        self.0[..8].copy_from_slice(&(input.len() as u64).to_ne_bytes());
        self.0[8..8 + input.len()].copy_from_slice(input);
    }
}

/// Ends the process if an input takes seconds.
fn watch() {
    std::thread::spawn(|| {
        let mut last = u64::MAX;
        loop {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(20) {
                // SAFETY: a plain call. The library's own pauses are short in this program
                // (`quick`): not so this one.
                unsafe { libc::poll(std::ptr::null_mut(), 0, 1000) };
            }
            let now = RUNS.load(Relaxed);
            if now == last {
                eprintln!("flood: an input takes more than 20 seconds");
                std::process::abort();
            }
            last = now;
        }
    });
}

/// The inputs, the quicker the more often (up to 32 times): none has more than its share of the
/// time.
fn by_time(run: fn(&[u8]), inputs: Vec<Vec<u8>>, current: &mut Current) -> Vec<Vec<u8>> {
    let time = |input: &Vec<u8>| {
        current.set(input);
        let once = || {
            let start = Instant::now();
            run(input);
            RUNS.fetch_add(1, Relaxed); // for the watch
            start.elapsed()
        };
        (0..3).map(|_| once()).min().expect("some times")
    };
    let mut times: Vec<Duration> = inputs.iter().map(time).collect();
    let each = |time: &Duration| (64_000 / time.as_nanos().max(1)).clamp(1, 32) as usize;
    let out = inputs.into_iter().zip(&times).flat_map(|(input, time)| vec![input; each(time)]).collect();
    times.sort();
    println!("flood: the quickest take {:?}, half of them up to {:?}", times[0], times[times.len() / 2]);
    out
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, target, seconds, runs, found, directories @ ..] = &arguments[..] else {
        panic!("flood TARGET SECONDS RUNS FOUND DIRECTORY...");
    };
    let (_, run) = TARGETS.into_iter().find(|(name, _)| name == target).expect("a target");
    let seconds: u64 = seconds.parse().expect("seconds, or 0");
    let runs: u64 = runs.parse().expect("a number of inputs");
    let found = Path::new(found);
    let files = directories.iter().flat_map(|d| std::fs::read_dir(d).into_iter().flatten());
    let mut paths: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("an input")).collect();
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_nanos() as u64);
    println!("flood: {target}, {} inputs to begin with, seed {seed}", inputs.len());

    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.store(true, Relaxed);
        usual(panic);
    }));
    let mut current = Current::new(&found.join("current"));
    watch();
    let inputs = by_time(run, inputs, &mut current);
    let (mut random, mut input) = (Random::new(seed), Vec::new());
    let (start, mut done) = (Instant::now(), 0);
    while done < runs && (seconds == 0 || done % 1024 != 0 || start.elapsed().as_secs() < seconds) {
        random.vary(&inputs, &mut input);
        input.truncate(LONGEST);
        current.set(&input);
        let held = std::panic::catch_unwind(|| run(&input)).is_ok();
        if !held || PANICKED.load(Relaxed) {
            let path = found.join(format!("flood-{seed}-{done}"));
            std::fs::write(&path, &input).expect("a place for the input");
            println!("flood: {target} failed: {}", path.display());
            std::process::exit(1);
        }
        done += 1;
        RUNS.store(done, Relaxed);
    }
    let took = start.elapsed().as_secs_f64();
    println!("flood: {target}: {done} inputs in {took:.0} s, {:.0} a second", done as f64 / took);
    let _ = std::io::stdout().flush();
    let _ = std::fs::remove_file(found.join("current"));
}
