//! Numbers as text.

/// Appends a whole number.
#[inline]
pub(crate) fn integer(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends a sample value: `NaN`, `+Inf` and `-Inf` spelled so, whole numbers without a point,
/// others with the fewest digits that read back to the same bits.
#[inline]
pub(crate) fn float(v: f64, out: &mut Vec<u8>) {
    let whole = v as i64;
    if whole as f64 == v && whole.unsigned_abs() < 1 << 53 && (whole != 0 || v.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else if v.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(v).as_bytes());
    } else if v.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if v > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// As [`float`], and a whole number has a point, which OpenMetrics tells floats by.
#[inline]
pub(crate) fn float_with_point(v: f64, out: &mut Vec<u8>) {
    let from = out.len();
    float(v, out);
    if v.is_finite() && !out[from..].iter().any(|b| matches!(b, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// Appends nanoseconds as seconds, to the millisecond.
pub(crate) fn seconds(ns: u64, out: &mut Vec<u8>) {
    integer(ns / 1_000_000_000, out);
    let ms = ns / 1_000_000 % 1000;
    out.extend_from_slice(&[b'.', b'0' + (ms / 100) as u8, b'0' + (ms / 10 % 10) as u8, b'0' + (ms % 10) as u8]);
}

/// The canonical form of a bucket bound (OpenMetrics 1.0, "Considerations: Canonical Numbers"),
/// which is also Go's shortest `%g`: the same string in every format, so that a series stays one.
pub(crate) fn canonical(v: f64) -> String {
    if v.is_infinite() {
        return if v > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if v.is_nan() {
        return "NaN".into();
    }
    // `{:e}` gives the shortest digits: d.ddde±x.
    let scientific = format!("{v:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's rule for the shortest `%g`: an exponent below 1e-4 and from 1e21 on; OpenMetrics cuts
    // off at 1e6 already.
    if (-4..6).contains(&exponent) {
        let plain = format!("{v}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(v: f64) -> String {
        let mut out = Vec::new();
        float(v, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn item_14_special_values() {
        assert_eq!(shown(f64::NAN), "NaN");
        assert_eq!(shown(f64::INFINITY), "+Inf");
        assert_eq!(shown(f64::NEG_INFINITY), "-Inf");
        assert_eq!(shown(-0.0), "-0.0");
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(-3.0), "-3");
        assert_eq!(shown(9_007_199_254_740_991.0), "9007199254740991");
    }

    proptest::proptest! {
        #[test]
        fn item_15_floats_read_back_bit_for_bit(bits: u64) {
            let v = f64::from_bits(bits);
            if v.is_finite() {
                assert_eq!(shown(v).parse::<f64>().unwrap().to_bits(), bits);
                assert_eq!(canonical(v).parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }

    #[test]
    fn item_19_canonical_bounds() {
        for (v, text) in [
            (0.001, "0.001"),
            (0.01, "0.01"),
            (0.1, "0.1"),
            (1.0, "1.0"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1e-5, "1e-05"),
            (1e10, "1e+10"),
            (1.5e6, "1.5e+06"),
            (2.5, "2.5"),
            (-1.0, "-1.0"),
            (1e100, "1e+100"),
            (0.0001, "0.0001"),
            (123_456.7, "123456.7"),
        ] {
            assert_eq!(canonical(v), text);
        }
    }
}
