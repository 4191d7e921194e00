//! The wire format of protobuf: field numbers, lengths and whole numbers.

/// Field numbers and wire types: `number << 3 | type`, with 0 for varints, 1 for 8 bytes, 2 for
/// what has a length.
pub(in crate::expose) mod tag {
    pub(in crate::expose) const FAMILY_NAME: u8 = 0x0a;
    pub(in crate::expose) const FAMILY_HELP: u8 = 0x12;
    pub(in crate::expose) const FAMILY_TYPE: u8 = 0x18;
    pub(in crate::expose) const FAMILY_METRIC: u8 = 0x22;
    pub(in crate::expose) const FAMILY_UNIT: u8 = 0x2a;
    pub(in crate::expose) const METRIC_LABEL: u8 = 0x0a;
    pub(in crate::expose) const METRIC_GAUGE: u8 = 0x12;
    pub(in crate::expose) const METRIC_COUNTER: u8 = 0x1a;
    pub(in crate::expose) const METRIC_SUMMARY: u8 = 0x22;
    pub(in crate::expose) const METRIC_UNTYPED: u8 = 0x2a;
    pub(in crate::expose) const METRIC_HISTOGRAM: u8 = 0x3a;
    pub(in crate::expose) const LABEL_NAME: u8 = 0x0a;
    pub(in crate::expose) const LABEL_VALUE: u8 = 0x12;
    /// The value of a gauge, of a counter and of an untyped metric.
    pub(in crate::expose) const VALUE: u8 = 0x09;
    pub(in crate::expose) const COUNTER_CREATED: u8 = 0x1a;
    /// The count of a histogram or of a summary.
    pub(in crate::expose) const COUNT: u8 = 0x08;
    pub(in crate::expose) const SUM: u8 = 0x11;
    pub(in crate::expose) const SUMMARY_CREATED: u8 = 0x22;
    pub(in crate::expose) const HISTOGRAM_BUCKET: u8 = 0x1a;
    pub(in crate::expose) const HISTOGRAM_CREATED: u8 = 0x7a;
    pub(in crate::expose) const SUMMARY_QUANTILE: u8 = 0x1a;
    pub(in crate::expose) const QUANTILE_RANK: u8 = 0x09;
    pub(in crate::expose) const QUANTILE_VALUE: u8 = 0x11;
    pub(in crate::expose) const BUCKET_COUNT: u8 = 0x08;
    pub(in crate::expose) const BUCKET_BOUND: u8 = 0x11;
    pub(in crate::expose) const COUNTER_EXEMPLAR: u8 = 0x12;
    pub(in crate::expose) const BUCKET_EXEMPLAR: u8 = 0x1a;
    pub(in crate::expose) const EXEMPLAR_VALUE: u8 = 0x11;
    pub(in crate::expose) const EXEMPLAR_TIME: u8 = 0x1a;
    pub(in crate::expose) const TIME_SECONDS: u8 = 0x08;
    pub(in crate::expose) const TIME_NANOS: u8 = 0x10;
}

pub(in crate::expose) fn field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(in crate::expose) fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A label as a field of its metric.
pub(in crate::expose) fn label(name: &str, value: &str) -> Vec<u8> {
    let mut pair = Vec::new();
    field(tag::LABEL_NAME, name.as_bytes(), &mut pair);
    field(tag::LABEL_VALUE, value.as_bytes(), &mut pair);
    let mut out = Vec::new();
    field(tag::METRIC_LABEL, &pair, &mut out);
    out
}
