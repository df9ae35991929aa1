//! The time as the store writes it: UTC, RFC 3339, always with milliseconds, so that text order is time order.

/// The current time, such as `2025-03-01T09:30:00.125Z`.
pub(super) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_utc_with_milliseconds() {
        let now = super::now();
        assert_eq!(now.len(), "2025-03-01T09:30:00.125Z".len());
        assert!(now.ends_with('Z') && now.as_bytes()[10] == b'T', "{now}");
    }
}
