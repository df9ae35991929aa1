//! Who gets an answer, and with which headers: asked of every address.

use std::collections::BTreeSet;

use crate::html::well_told;
use crate::routes::{Route, forms, routes};
use crate::site::{Answer, FORM, OURS, PORT, Site, posted};
use axum::body::Body;
use axum::http::Request;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn guarded(path: &str, answer: &Answer) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name} of {path}");
    }
    assert!(!answer.header("cache-control").is_empty(), "{path}");
    assert!(!answer.header("x-request-id").is_empty(), "{path}");
}

/// A problem with this status that says this, as a page and as JSON, and nothing of what the store holds.
async fn refused(site: &Site, path: &str, headers: &[(&str, &str)], status: u16, words: &str) {
    let answer = site.ask(path, headers).await;
    answer.says(status, &[words, answer.header("x-request-id")]);
    assert!(!answer.text().contains("quickstart"), "{path}");
    guarded(path, &answer);
    well_told(path, &answer);
    let answer = site.ask(path, &[headers, &[("accept", "application/json")]].concat()).await;
    let told: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!((answer.status.as_u16(), &told["request_id"]), (status, &answer.header("x-request-id").into()));
    assert!(format!("{} {}", told["error"], told["advice"]).contains(words), "{path}: {told}");
    guarded(path, &answer);
}

#[tokio::test]
async fn every_answer_has_the_headers_and_a_number_of_its_own() {
    let site = Site::small().await;
    let mut numbers = BTreeSet::new();
    for route in routes(&site.filled) {
        let answer = site.get(&route.path).await;
        assert_eq!(answer.status, 200, "{}", route.path);
        guarded(&route.path, &answer);
        assert!(numbers.insert(answer.header("x-request-id").to_owned()));
    }
    for path in ["/nowhere", "/experiments/77", "/experiments/x", "/assets/nothing"] {
        let answer = site.get(path).await;
        assert!(answer.status.is_client_error(), "{path}");
        guarded(path, &answer);
        assert!(numbers.insert(answer.header("x-request-id").to_owned()));
    }
}

#[tokio::test]
async fn only_the_exact_host_is_answered() {
    let site = Site::small().await;
    let ask = async |hosts: &[&str], path: &str| {
        let request = hosts.iter().fold(Request::get(path), |request, host| request.header("host", *host));
        site.send(request.body(Body::empty()).unwrap()).await
    };
    let (good, other_port) = (format!("127.0.0.1:{PORT}"), format!("127.0.0.1:{}", PORT + 1));
    assert_eq!(ask(&[&good], "/").await.status, 200);
    // Names of this machine too, which others might be led to by.
    let (name, sixth) = (format!("localhost:{PORT}"), format!("[::1]:{PORT}"));
    let rebound = format!("evil.example:{PORT}");
    let disguised = format!("127.0.0.1:{PORT}.evil.example");
    let user = format!("127.0.0.1:{PORT}@evil.example");
    let strangers: [&[&str]; 12] = [
        &[],
        &["127.0.0.1"],
        &[&name],
        &[&sixth],
        &["0.0.0.0:4321"],
        &[&other_port],
        &[&rebound],
        &[&disguised],
        &[&user],
        &[""],
        &[&good, &rebound],
        &[&good, &good],
    ];
    for route in routes(&site.filled) {
        for hosts in strangers {
            let answer = ask(hosts, &route.path).await;
            answer.says(421, &["http://127.0.0.1:4321/ only"]);
            guarded("a stranger", &answer);
        }
        let answer = ask(&[&good], &format!("http://{rebound}{}", route.path)).await;
        assert_eq!(answer.status, 421, "the request line counts too");
    }
}

#[tokio::test]
async fn other_sites_are_refused() {
    let site = Site::small().await;
    for route in routes(&site.filled) {
        for header in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "https://127.0.0.1:4321"),
            ("origin", "http://localhost:4321"),
            ("origin", "http://127.0.0.1:4322"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "anything"),
        ] {
            refused(&site, &route.path, &[header], 403, "Another site sent you here").await;
        }
        for header in
            [("origin", "http://127.0.0.1:4321"), ("sec-fetch-site", "none"), ("sec-fetch-site", "same-origin")]
        {
            assert_eq!(site.ask(&route.path, &[header]).await.status, 200, "{header:?}");
        }
    }
}

fn asked(method: &str, path: &str, header: (&str, &str), body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", format!("127.0.0.1:{PORT}"));
    request.header(header.0, header.1).body(body).unwrap()
}

#[tokio::test]
async fn other_methods_are_refused_with_a_page_and_only_to_the_dashboard_itself() {
    let site = Site::small().await;
    for route in routes(&site.filled) {
        for method in ["POST", "PUT", "DELETE", "PATCH", "CONNECT"] {
            for header in [OURS, ("sec-fetch-site", "same-origin")] {
                let answer = site.send(asked(method, &route.path, header, Body::empty())).await;
                answer.says(405, &[&format!("There is nothing to {method} here")]);
                assert_eq!(answer.header("allow"), "GET,HEAD");
                guarded(method, &answer);
                well_told(&route.path, &answer);
            }
            for header in [("accept", "*/*"), ("sec-fetch-site", "none")] {
                let answer = site.send(asked(method, &route.path, header, Body::empty())).await;
                answer.says(403, &["Origin: http://127.0.0.1:4321"]);
                guarded(method, &answer);
            }
            for header in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "same-site")] {
                let answer = site.send(asked(method, &route.path, header, Body::empty())).await;
                answer.says(403, &["Another site sent you here"]);
            }
        }
        for method in ["OPTIONS", "TRACE"] {
            let answer = site.send(asked(method, &route.path, OURS, Body::empty())).await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET,HEAD"), "{method}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        let answer = site.send(asked("HEAD", &route.path, OURS, Body::empty())).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
        guarded("HEAD", &answer);
    }
}

#[tokio::test]
async fn addresses_of_forms_take_nothing_but_what_forms_send() {
    let site = Site::small().await;
    for form in forms(&site.filled) {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let answer = site.send(asked(method, &form.path, OURS, Body::empty())).await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{method} {}", form.path);
            guarded(method, &answer);
            if method != "HEAD" {
                answer.says(405, &[&format!("There is nothing to {method} here")]);
                well_told(&form.path, &answer);
            }
        }
        for media_type in ["text/plain", "multipart/form-data; boundary=x", "application/json", ""] {
            let answer = site.send(posted(&form.path, &[OURS, ("content-type", media_type)], "name=paper")).await;
            answer.says(415, &["This form is not understood", "application/x-www-form-urlencoded"]);
            guarded(media_type, &answer);
            well_told(&form.path, &answer);
        }
        assert_eq!(site.send(posted(&form.path, &[OURS], "name=paper")).await.status, 415, "{}", form.path);
        let large = site.send(posted(&form.path, &[OURS, FORM], "x".repeat(128 * 1024 + 1))).await;
        large.says(413, &["This request is too large"]);
    }
}

#[tokio::test]
async fn long_addresses_and_large_bodies_are_refused() {
    let site = Site::small().await;
    for route in routes(&site.filled) {
        let long = format!("{}{}page={}", route.path, route.separator(), "1".repeat(2048));
        refused(&site, &long, &[], 414, "the longest that any page has is 2048").await;
        let with_body = |length: usize| asked("GET", &route.path, OURS, Body::from(vec![b'x'; length]));
        assert_eq!(site.send(with_body(100)).await.status, 200, "a small one does no harm");
        let answer = site.send(with_body(128 * 1024 + 1)).await;
        answer.says(413, &["This request is too large", "131073"]);
        guarded(&route.path, &answer);
    }
    refused(&site, &format!("/{}", "x".repeat(4000)), &[], 414, "This address is too long").await;
}

#[tokio::test]
async fn a_page_of_a_list_stays_a_page_whatever_number_is_asked_for() {
    let site = Site::small().await;
    // The first view leads to its shortest address instead.
    let has_pages = |route: &&Route| route.templates.contains(&"pager.html") && route.address != "/";
    for route in routes(&site.filled).iter().filter(has_pages) {
        let usual = site.get(&route.path).await.body.len();
        for page in ["0", "1", "99", "18446744073709551615"] {
            let answer = site.get(&format!("{}?page={page}", route.path)).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, usual), "{} {page}", route.path);
        }
    }
    for page in ["-1", "1.5", "18446744073709551616", "x", ""] {
        refused(&site, &format!("/experiments?page={page}"), &[], 400, "This address is not understood").await;
    }
    for key in ["page", "l"] {
        let shortest = site.get(&format!("/?e=all&{key}=18446744073709551615")).await;
        let address = if shortest.status == 303 { shortest.header("location") } else { "/" };
        assert_eq!(site.get(address).await.status, 200, "{address}");
    }
}

const TOKEN: &str = "9f2c.a-long_secret~0";

#[tokio::test]
async fn with_a_token_nobody_else_is_answered() {
    let site = Site::small().await.behind(TOKEN);
    let bearer = format!("Bearer {TOKEN}");
    for route in routes(&site.filled) {
        refused(&site, &route.path, &[], 401, "This dashboard needs its token").await;
        refused(&site, &format!("{}{}token=9f2c", route.path, route.separator()), &[], 401, "This is not its token")
            .await;
        for header in [
            ("authorization", "Bearer 9f2c.a-long_secret~1"),
            ("authorization", "Bearer "),
            ("authorization", "Basic 9f2c.a-long_secret~0"),
            ("authorization", TOKEN),
            ("cookie", "elastictok-4321=9f2c.a-long_secret~0"),
            ("cookie", "elastictok-4321="),
            ("cookie", "elastictok-4321"),
        ] {
            refused(&site, &route.path, &[header], 401, "This dashboard needs its token").await;
        }
        assert_eq!(site.ask(&route.path, &[("authorization", &bearer)]).await.status, 200);
        let cross = [("authorization", bearer.as_str()), ("sec-fetch-site", "cross-site")];
        refused(&site, &route.path, &cross, 403, "Another site sent you here").await;
    }
    assert_eq!(site.get("/").await.header("www-authenticate"), "Bearer");
    site.get("/").await.says(401, &["name=\"token\"", "type=\"password\""]);
}

#[tokio::test]
async fn the_token_in_an_address_becomes_a_cookie() {
    let site = Site::small().await.behind(TOKEN);
    for (asked, goes_on) in [
        ("/?token=T", "/"),
        ("/experiments/1?page=2&token=T&x=%26", "/experiments/1?page=2&x=%26"),
        ("/experiments/1?token=T&token=T", "/experiments/1"),
        // These would lead to another host.
        ("//evil.example/?token=T", "/"),
        ("/\\evil.example?token=T", "/"),
    ] {
        let Ok(asked) = asked.replace('T', TOKEN).parse::<axum::http::Uri>() else { continue };
        let answer = site.get(&asked.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, goes_on), "{asked}");
        assert_eq!(answer.header("cache-control"), "no-store");
        guarded("login", &answer);
        let (cookie, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
        assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/");
        assert!(cookie.starts_with("elastictok-4321=") && !cookie.contains(TOKEN), "{cookie}");
        let (both, wrong) = (format!("theme=dark; {cookie}"), format!("x{cookie}"));
        for route in routes(&site.filled) {
            assert_eq!(site.ask(&route.path, &[("cookie", &both)]).await.status, 200);
            assert_eq!(site.ask(&route.path, &[("cookie", &wrong)]).await.status, 401);
        }
    }
    // Without a token there is nothing to log in to.
    assert_eq!(Site::small().await.get("/experiments?token=anything").await.status, 200);
}
