//! Which requests are answered.
//!
//! Any web page may send requests to `127.0.0.1`, or point its own name there (DNS rebinding) and then read the answers
//! as its own. So a request must name this server as its host, exactly, and must not come from another site; one that
//! would change something must say that it comes from here. It is small, and brings the token where there is one.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::access::{Access, Token};
use crate::error::Problem;

/// The longest address with its query: the dashboard's own stay below 300 bytes.
const MAX_ADDRESS: usize = 2048;
/// The largest request body: the longest note, 10 000 characters of up to four bytes with three for the escape of each.
const MAX_BODY: usize = 128 * 1024;
/// For a request's body to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Answers strangers with a problem, and passes the others on.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Result<Response, Problem> {
    require_host(&access, &request)?;
    require_own_pages(&access, request.headers())?;
    require_small(&request)?;
    if !request.method().is_safe() {
        require_named_origin(&access, request.headers())?;
    }
    if let Some(token) = &access.token
        && let Admission::Cookie(answer) = admit(&access, token, &request)?
    {
        return Ok(answer);
    }
    // Nobody reads the body of a request that only asks.
    let request = if request.method().is_safe() { request } else { with_body_read(request).await? };
    Ok(next.run(request).await)
}

fn require_host(access: &Access, request: &Request) -> Result<(), Problem> {
    // «GET http://elsewhere/ HTTP/1.1»: the name in the request line counts more than the header.
    let in_line = request.uri().authority().is_none_or(|authority| access.is_host(authority.as_str()));
    if in_line && only(request.headers(), &header::HOST).is_some_and(|host| access.is_host(host)) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "This is not the host you asked for",
        format!("The dashboard answers to {}/ only: type that into the address bar.", access.url()),
    ))
}

/// Refuses what another site asks for, be it a link, a picture or a script.
fn require_own_pages(access: &Access, headers: &HeaderMap) -> Result<(), Problem> {
    // Browsers say «none» when a person typed the address or took a bookmark.
    let site_is_ours = |site: &str| matches!(site, "same-origin" | "none");
    let fits = |name: &HeaderName, ours: &dyn Fn(&str) -> bool| {
        !headers.contains_key(name) || only(headers, name).is_some_and(ours)
    };
    if fits(&header::ORIGIN, &|origin| access.is_origin(origin)) && fits(&SITE, &site_is_ours) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "Another site sent you here",
        format!("Only the dashboard's own pages may open it: type {} into the address bar.", access.url()),
    ))
}

/// Of two requests that say nothing of another site, one may come from a program or an old browser that was led here: it
/// may look, and not change anything.
fn require_named_origin(access: &Access, headers: &HeaderMap) -> Result<(), Problem> {
    // Both were compared already, if they are there.
    if headers.contains_key(header::ORIGIN) || only(headers, &SITE) == Some("same-origin") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "This request does not say where it comes from",
        format!("What changes something needs the header `Origin: {}`; browsers send it.", access.url()),
    ))
}

fn require_small(request: &Request) -> Result<(), Problem> {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if address > MAX_ADDRESS {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "This address is too long",
            format!("It has {address} bytes, and the longest that any page has is {MAX_ADDRESS}."),
        ));
    }
    // A body of unknown length has the lower bound 0, and is counted when it is read.
    match request.body().size_hint().lower() {
        bytes if bytes > MAX_BODY as u64 => Err(too_large(bytes)),
        _ => Ok(()),
    }
}

/// The request with its body in memory, so that a slow or endless one holds nobody up behind this point.
async fn with_body_read(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let Ok(read) = timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await else {
        return Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "This request did not end",
            format!("The server waited {} s for its body.", BODY_TIME.as_secs()),
        ));
    };
    match read {
        Ok(body) => Ok(Request::from_parts(parts, body.to_bytes().into())),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large("more than that")),
        Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, "This request is broken", error.to_string())),
    }
}

fn too_large(bytes: impl Display) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "This request is too large",
        format!("No page takes more than {MAX_BODY} bytes after the headers, and it has {bytes}."),
    )
}

enum Admission {
    /// The request brings what it needs.
    Granted,
    /// The token stands in the address: a browser gets a cookie for it, and goes on to the address without it.
    Cookie(Response),
}

fn admit(access: &Access, token: &Token, request: &Request) -> Result<Admission, Problem> {
    let (given, address) = without_token(request.uri());
    match given {
        Some(given) if token.is(given) => {
            let headers = [
                (header::SET_COOKIE, access.cookie(token)),
                (header::LOCATION, address),
                (header::CACHE_CONTROL, "no-store".into()),
            ];
            return Ok(Admission::Cookie((StatusCode::SEE_OTHER, headers).into_response()));
        }
        Some(_) => return Err(Problem::unauthorized("This is not its token")),
        None => {}
    }
    match bearer(request.headers()).is_some_and(|given| token.is(given))
        || cookies(request.headers(), &access.cookie_name()).any(|given| token.is_cookie(given))
    {
        true => Ok(Admission::Granted),
        false => Err(Problem::unauthorized("This dashboard needs its token")),
    }
}

/// The token in the address, and the address without it.
fn without_token(uri: &Uri) -> (Option<&str>, String) {
    // A browser would take «//elsewhere» and «/\elsewhere» for another host.
    let path =
        if uri.path().starts_with(['/']) && !uri.path()[1..].starts_with(['/', '\\']) { uri.path() } else { "/" };
    let parts = uri.query().unwrap_or_default().split('&');
    let (tokens, others): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.starts_with("token="));
    let query = others.join("&");
    let address = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    (tokens.first().and_then(|part| part.strip_prefix("token=")), address)
}

/// `Authorization: Bearer …`
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, given) = only(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| given.trim())
}

/// The values of the cookies with this name.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.filter(move |(given, _)| *given == name).map(|(_, value)| value)
}

/// The header's value, if it is there once and is text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use futures_util::stream;
    use tower::ServiceExt as _;

    use super::*;

    /// Posts to a route that takes it; the status, and the body as the route got it.
    async fn post_to(access: Access, headers: &[(&str, &str)], body: Body) -> (u16, Bytes) {
        let router = Router::new().route("/notes", post(async |body: Bytes| body));
        let router = router.layer(from_fn_with_state(Arc::new(access), guard));
        let request = Request::post("/notes").header("host", "127.0.0.1:4321");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    }

    fn local(token: Option<&str>) -> Access {
        let token = token.map(|token| Token::new(token).unwrap());
        Access::new(([127, 0, 0, 1], 4321).into(), None, token).unwrap()
    }

    fn pieces(count: usize) -> Body {
        Body::from_stream(stream::iter(vec![Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024])); count]))
    }

    const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:4321");

    #[tokio::test]
    async fn a_change_comes_from_the_dashboards_own_pages() {
        for header in [ORIGIN, ("sec-fetch-site", "same-origin")] {
            let (status, body) = post_to(local(None), &[header], "a note".into()).await;
            assert_eq!((status, &body[..]), (200, &b"a note"[..]), "{header:?}");
        }
        for headers in [
            &[][..],
            &[("sec-fetch-site", "none")],
            &[("origin", "null")],
            &[("origin", "https://127.0.0.1:4321")],
            &[("origin", "http://localhost:4321")],
            &[("origin", "http://127.0.0.1:4321/")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[ORIGIN, ORIGIN],
            &[ORIGIN, ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(post_to(local(None), headers, "a note".into()).await.0, 403, "{headers:?}");
        }
        let token = "0123456789abcdef";
        assert_eq!(post_to(local(Some(token)), &[ORIGIN], "a note".into()).await.0, 401);
        let bearer = ("authorization", "Bearer 0123456789abcdef");
        assert_eq!(post_to(local(Some(token)), &[ORIGIN, bearer], "a note".into()).await.0, 200);
        assert_eq!(post_to(local(Some(token)), &[bearer], "a note".into()).await.0, 403, "a token is no origin");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_small_and_comes_soon() {
        let (status, body) = post_to(local(None), &[ORIGIN], pieces(128)).await;
        assert_eq!((status, body.len()), (200, MAX_BODY), "the largest");
        assert_eq!(post_to(local(None), &[ORIGIN], pieces(129)).await.0, 413, "found when it is read");
        assert_eq!(post_to(local(None), &[ORIGIN], vec![b'x'; MAX_BODY + 1].into()).await.0, 413, "found before");
        let endless = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(post_to(local(None), &[ORIGIN], endless).await.0, 408);
        let broken = Body::from_stream(stream::iter([Err::<Bytes, _>("the line went dead")]));
        assert_eq!(post_to(local(None), &[ORIGIN], broken).await.0, 400);
    }
}
