//! Reads `/proc/PID/stat`.

use procfs::process::Stat;
use procfs::FromRead;

/// The process' line. `None`: there is no such process, or the line makes no sense.
pub(crate) fn stat(pid: impl std::fmt::Display) -> Option<Stat> {
    parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Checks first what the parser takes for granted: it panics if the line ends early.
fn parse(line: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    let (begin, end) = (text.find('(')?, text.rfind(')')?);
    text.get(..begin.checked_sub(1)?)?;
    text.get(begin + 1..end)?;
    text.get(end + 2..)?;
    Stat::from_read(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn any_line_is_read_or_refused() {
        let line =
            b"4711 (a) b) S 1 4711 4711 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 8123 1000 100 18446744073709551615 \
                     1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(parse(line).map(|stat| (stat.comm, stat.starttime)), Some(("a) b".to_owned(), 8123)));
        for cut in [&b""[..], b"(", b"(a", b"1 (a)", b"1 (a) ", b"1 )(", b"1 (", b"(a) S", b"1 (a)\xc3\xa9S"] {
            assert!(parse(cut).is_none(), "{cut:?}");
        }
        let mut read = 0;
        crate::common::variants::each(&[line], 5000, |line| read += u32::from(parse(line).is_some()));
        assert!(read > 500, "{read} are read");
    }
}
