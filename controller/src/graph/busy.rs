//! How "too many requests" and "not just now" are waited out: as long as the service says, and in all no longer than a bound.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// How long one reading of a tenant waits in all. The service names a minute as often as five; a longer one is better begun later.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How often one request is made at most: a service that says "at once" each time is not asked forever.
const TRIES: u32 = 10;

/// Where the service does not say how long: the first pause, doubled each time.
const UNSAID: Duration = Duration::from_secs(5);

/// A wait.
pub type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What waits, and tells the time. The real one is [`Real`]; a model may let time pass at once.
pub trait Clock: Send + Sync {
    /// The time of this machine.
    fn now(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, how_long: Duration) -> Pause<'_>;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Real;

impl Clock for Real {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, how_long: Duration) -> Pause<'_> {
        Box::pin(tokio::time::sleep(how_long))
    }
}

/// What an answer means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is one.
    Take,
    /// Ask again after so long.
    Wait(Duration),
    /// It asks for so long, which is not waited.
    GiveUp(Duration),
}

/// What an answer means, the `tried`th to one request (from 1), where so much of the patience is left.
pub(super) fn next(
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
    tried: u32,
    left: Duration,
) -> Next {
    let busy = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if !busy {
        return Next::Take;
    }
    let unsaid = UNSAID * 2_u32.saturating_pow(tried.saturating_sub(1)).min(64);
    let pause = said(headers, now).unwrap_or(unsaid);
    if tried >= TRIES || pause > left {
        return Next::GiveUp(pause);
    }
    Next::Wait(pause)
}

/// How long the service asks to wait: seconds, or a time, which is held against the service's own clock where its answer has that.
fn said(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let said = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(said).ok()?;
    let theirs = text(DATE).and_then(|at| httpdate::parse_http_date(at.trim()).ok());
    // A time that has passed means "at once".
    let left = until.duration_since(theirs.unwrap_or(now));
    Some(left.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(HeaderName, &str)| (name.clone(), value.parse().expect("a value"));
        pairs.iter().map(pair).collect()
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn what_is_said_is_waited_in_either_form_and_by_the_services_own_clock() {
        let now = SystemTime::UNIX_EPOCH + seconds(1_445_412_420); // Wed, 21 Oct 2015 07:27:00 GMT
        for (pairs, pause) in [
            (&[(RETRY_AFTER, "0")][..], seconds(0)),
            (&[(RETRY_AFTER, " 315 ")], seconds(315)),
            (
                &[(RETRY_AFTER, "Wed, 21 Oct 2015 07:28:00 GMT")],
                seconds(60),
            ),
            (
                &[(RETRY_AFTER, "Wednesday, 21-Oct-15 07:28:00 GMT")],
                seconds(60),
            ),
            (
                &[
                    (RETRY_AFTER, "Wed, 21 Oct 2015 07:28:00 GMT"),
                    (DATE, "Wed, 21 Oct 2015 07:27:50 GMT"),
                ],
                seconds(10),
            ),
            (
                &[(RETRY_AFTER, "Wed, 21 Oct 2015 07:00:00 GMT")],
                seconds(0),
            ),
            // What cannot be read says nothing.
            (&[(RETRY_AFTER, "soon")], UNSAID),
            (&[], UNSAID),
        ] {
            for status in [429, 503, 504] {
                let status = StatusCode::from_u16(status).expect("a status");
                let next = next(status, &headers(pairs), now, 1, PATIENCE);
                assert_eq!(next, Next::Wait(pause), "{status} {pairs:?}");
            }
        }
    }

    #[test]
    fn it_is_given_up_where_more_is_asked_than_is_left_and_after_so_many_tries() {
        let now = SystemTime::UNIX_EPOCH;
        let asks = |text: &str, tried, left| {
            let headers = headers(&[(RETRY_AFTER, text)]);
            next(StatusCode::SERVICE_UNAVAILABLE, &headers, now, tried, left)
        };
        assert_eq!(asks("900", 1, seconds(900)), Next::Wait(seconds(900)));
        assert_eq!(asks("901", 1, seconds(900)), Next::GiveUp(seconds(901)));
        assert_eq!(asks("0", TRIES - 1, seconds(900)), Next::Wait(seconds(0)));
        assert_eq!(asks("0", TRIES, seconds(900)), Next::GiveUp(seconds(0)));
        // Unsaid, it grows.
        let unsaid = |tried| {
            next(
                StatusCode::TOO_MANY_REQUESTS,
                &HeaderMap::new(),
                now,
                tried,
                PATIENCE,
            )
        };
        assert_eq!(unsaid(1), Next::Wait(seconds(5)));
        assert_eq!(unsaid(4), Next::Wait(seconds(40)));
        // Any other answer is one.
        for status in [200, 403, 404, 500] {
            let status = StatusCode::from_u16(status).expect("a status");
            let headers = headers(&[(RETRY_AFTER, "5")]);
            assert_eq!(next(status, &headers, now, 1, PATIENCE), Next::Take);
        }
    }
}
