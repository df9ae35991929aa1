//! The time as the store writes it: UTC, RFC 3339, always with milliseconds, so that text order is time order.

/// The current time, such as `2025-03-01T09:30:00.125Z`.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// Seconds from a time as the store writes it until now, at least 0; `None` if it is no such time.
pub fn seconds_since(time: &str) -> Option<f64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(jiff::Timestamp::now().duration_since(time).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_utc_with_milliseconds() {
        let now = super::now();
        assert_eq!(now.len(), "2025-03-01T09:30:00.125Z".len());
        assert!(now.ends_with('Z') && now.as_bytes()[10] == b'T', "{now}");
    }

    #[test]
    fn what_was_written_lies_in_the_past() {
        let since = super::seconds_since("2025-03-01T09:30:00.125Z").unwrap();
        assert!(since > super::seconds_since("2025-03-01T09:31:00.125Z").unwrap() + 59.0, "a minute earlier");
        assert_eq!(super::seconds_since("9000-01-01T00:00:00Z"), Some(0.0), "a clock that was set back");
        assert_eq!(super::seconds_since("yesterday"), None);
    }
}
