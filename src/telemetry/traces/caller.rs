//! The caller's place in a trace: `traceparent` and `tracestate` (W3C Trace Context, level 1).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use poem::http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The span of the caller, if there is exactly one `traceparent`, and it is valid.
pub(super) fn span(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (trace, span, flags) = parse(value.to_str().ok()?)?;
    let context = SpanContext::new(trace, span, flags, true, state(headers).unwrap_or_default());
    context.is_valid().then_some(context)
}

/// Parses a `traceparent`. A version after 00 may have more parts, which are ignored.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = text.splitn(5, '-');
    let mut next = |digits| parts.next().filter(|part| is_hex(part, digits));
    let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    Some((TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?, flags))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The entries of other systems; none if one of them is malformed.
fn state(headers: &HeaderMap) -> Option<TraceState> {
    headers.get(TRACESTATE)?;
    let values: Result<Vec<_>, _> = headers.get_all(TRACESTATE).iter().map(|value| value.to_str()).collect();
    values.ok()?.join(",").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn only_a_valid_traceparent_counts() {
        for (value, sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-03"), true),
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!("01-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), true),
            (format!("cc-{TRACE}-{SPAN}-01-"), true),
        ] {
            let (trace, span, flags) = parse(&value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!((trace.to_string().as_str(), span.to_string().as_str()), (TRACE, SPAN), "{value}");
            assert_eq!(flags.is_sampled(), sampled, "{value}");
        }
        for value in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-x"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01x"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{}-01", &SPAN[1..]),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-{SPAN}-01 "),
        ] {
            assert!(parse(&value).is_none(), "{value}");
        }
    }

    #[test]
    fn the_headers_count_only_together() {
        let headers = |values: &[(HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in values {
                headers.append(name, value.parse().unwrap());
            }
            headers
        };
        let good = format!("00-{TRACE}-{SPAN}-01");
        let context = span(&headers(&[(TRACEPARENT, &good), (TRACESTATE, "a=1"), (TRACESTATE, "b=2, c=3")])).unwrap();
        assert_eq!(context.trace_state().header(), "a=1,b=2,c=3");
        assert!(context.is_remote() && context.is_sampled());
        let context = span(&headers(&[(TRACEPARENT, &good), (TRACESTATE, "malformed")])).unwrap();
        assert_eq!(context.trace_state().header(), "");
        for invalid in [
            headers(&[]),
            headers(&[(TRACESTATE, "a=1")]),
            headers(&[(TRACEPARENT, &good), (TRACEPARENT, &good)]),
            headers(&[(TRACEPARENT, &format!("00-{}-{SPAN}-01", "0".repeat(32)))]),
            headers(&[(TRACEPARENT, &format!("00-{TRACE}-{}-01", "0".repeat(16)))]),
        ] {
            assert!(span(&invalid).is_none(), "{invalid:?}");
        }
    }
}
