//! Who may ask: programs on this machine, or whoever has the token.
//!
//! A browser sends the name that it was given for this server, and the server answers to exactly one: its address, or
//! that of the URL it was started with. A server that others can reach asks for a token. The token travels once, in an
//! address or in an `Authorization` header; a browser then keeps a cookie, which is derived from it and is not it.
//! Neither is held here: blake3 hashes are, whose comparison takes the same time wherever two differ.

use std::fmt;
use std::net::SocketAddr;

use axum::http::Uri;

use crate::server::WebError;

/// Shorter tokens could be guessed.
const MIN_TOKEN: usize = 16;

/// A secret that opens the dashboard.
#[derive(Clone)]
pub struct Token {
    secret: blake3::Hash,
    cookie: blake3::Hash,
}

impl Token {
    /// A token as it was written down. It stands in addresses and headers, so it is made of what needs no escape there.
    ///
    /// # Errors
    /// It is too short, or has another character than a letter, a digit, `-`, `.`, `_` or `~`.
    pub fn new(text: &str) -> Result<Self, WebError> {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "-._~".contains(character);
        if let Some(character) = text.chars().find(|&character| !allowed(character)) {
            return Err(WebError::TokenCharacter { character });
        }
        if text.len() < MIN_TOKEN {
            return Err(WebError::TokenShort { length: text.len(), least: MIN_TOKEN });
        }
        let cookie = blake3::derive_key("elastictok dashboard, cookie of a token, 1", text.as_bytes());
        Ok(Self { secret: blake3::hash(text.as_bytes()), cookie: cookie.into() })
    }

    /// Whether this is the token.
    pub(crate) fn is(&self, given: &str) -> bool {
        blake3::hash(given.as_bytes()) == self.secret
    }

    /// What a browser that knew the token is given to keep.
    pub(crate) fn cookie(&self) -> String {
        self.cookie.to_string()
    }

    /// Whether this is what it was given.
    pub(crate) fn is_cookie(&self, given: &str) -> bool {
        blake3::Hash::from_hex(given).is_ok_and(|given| given == self.cookie)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The name that this server answers to, and the token that it asks for.
#[derive(Debug, Clone)]
pub struct Access {
    /// `http`, or that of the proxy before this server.
    scheme: String,
    /// As browsers send it.
    host: String,
    port: u16,
    pub(crate) token: Option<Token>,
}

impl Access {
    /// For a server on `address`, which browsers open at `url` or, without one, at its address.
    ///
    /// # Errors
    /// Others can reach the address, or a URL is given, and there is no token; the address is every address of the
    /// machine and no URL is given; the URL is more or less than `http://HOST` or `https://HOST` and a port.
    pub fn new(address: SocketAddr, url: Option<&str>, token: Option<Token>) -> Result<Self, WebError> {
        let (ip, port) = (address.ip(), address.port());
        let is_local = ip.is_loopback() && url.is_none();
        if !is_local && token.is_none() {
            return Err(WebError::NoToken { ip });
        }
        let (scheme, host) = match url {
            Some(url) => origin(url).ok_or_else(|| WebError::Url { given: url.to_owned() })?,
            None if ip.is_unspecified() => return Err(WebError::NoUrl { ip }),
            None => {
                let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
                ("http".to_owned(), with_port("http", &name, port))
            }
        };
        Ok(Self { scheme, host, port, token })
    }

    /// The address to open in a browser.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// Whether a browser means this server by the name.
    pub(crate) fn is_host(&self, name: &str) -> bool {
        self.host.eq_ignore_ascii_case(name)
    }

    /// Whether a browser means this server's own pages by the origin.
    pub(crate) fn is_origin(&self, origin: &str) -> bool {
        origin.split_once("://").is_some_and(|(scheme, host)| scheme == self.scheme && self.is_host(host))
    }

    /// The cookie of a browser that knew the token.
    pub(crate) fn cookie(&self, token: &Token) -> String {
        let secure = if self.scheme == "https" { "; Secure" } else { "" };
        format!("{}={}; HttpOnly; SameSite=Strict; Path=/{secure}", self.cookie_name(), token.cookie())
    }

    /// The name of the cookie. Browsers give a host's cookies to the servers on all of its ports.
    pub(crate) fn cookie_name(&self) -> String {
        format!("elastictok-{}", self.port)
    }
}

/// A name as browsers send it, with the port unless it is the one that they leave out.
fn with_port(scheme: &str, name: &str, port: u16) -> String {
    match (scheme, port) {
        ("http", 80) | ("https", 443) => name.to_owned(),
        _ => format!("{name}:{port}"),
    }
}

/// The scheme and the host of a URL that has nothing else.
fn origin(url: &str) -> Option<(String, String)> {
    let url: Uri = url.parse().ok()?;
    let (scheme, authority) = (url.scheme_str()?, url.authority()?);
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let is_bare = url.path() == "/" && url.query().is_none() && !authority.as_str().contains('@');
    let is_named = !authority.host().is_empty();
    // «host:» and «host:99999» have a colon too many.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => default,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    (is_bare && is_named).then(|| (scheme.to_owned(), with_port(scheme, authority.host(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn access(address: &str, url: Option<&str>) -> Result<Access, WebError> {
        Access::new(address.parse().unwrap(), url, Some(Token::new(SECRET).unwrap()))
    }

    #[test]
    fn without_a_token_only_this_machine_may_ask() {
        for address in ["192.168.1.5:7878", "0.0.0.0:7878", "[::]:7878", "[2001:db8::1]:7878"] {
            let error = Access::new(address.parse().unwrap(), None, None).unwrap_err();
            assert!(matches!(error, WebError::NoToken { .. }), "{error}");
            assert!(error.to_string().contains("--token-file"), "{error}");
        }
        let error = Access::new("127.0.0.1:7878".parse().unwrap(), Some("http://bench.example"), None).unwrap_err();
        assert!(matches!(error, WebError::NoToken { .. }), "a name is for others: {error}");
        for address in ["127.0.0.1:7878", "[::1]:7878"] {
            let access = Access::new(address.parse().unwrap(), None, None).unwrap();
            assert_eq!(access.url(), format!("http://{address}"));
            for name in ["127.0.0.1:7878", "localhost:7878", "[::1]:7878"] {
                let is_ours = name == address;
                assert_eq!((access.is_host(name), access.is_origin(&format!("http://{name}"))), (is_ours, is_ours));
            }
        }
    }

    #[test]
    fn one_name_is_answered_to() {
        for (address, url, only) in [
            ("192.168.1.5:7878", None, "http://192.168.1.5:7878"),
            ("192.168.1.5:80", None, "http://192.168.1.5"),
            ("[2001:db8::1]:7878", None, "http://[2001:db8::1]:7878"),
            ("0.0.0.0:7878", Some("http://bench.example:7878/"), "http://bench.example:7878"),
            ("127.0.0.1:7878", Some("http://bench.example"), "http://bench.example"),
            ("127.0.0.1:7878", Some("https://bench.example:443"), "https://bench.example"),
            ("127.0.0.1:7878", Some("HTTPS://bench.example:80"), "https://bench.example:80"),
            ("[::]:7878", Some("http://[2001:db8::1]:7878"), "http://[2001:db8::1]:7878"),
        ] {
            let access = access(address, url).unwrap();
            assert_eq!(access.url(), only);
            let (scheme, host) = only.split_once("://").unwrap();
            assert!(access.is_host(host) && !access.is_host("127.0.0.1:7878") && !access.is_host(""), "{only}");
            let other = if scheme == "http" { "https" } else { "http" };
            assert!(access.is_origin(only) && !access.is_origin(&format!("{other}://{host}")), "{only}");
            assert!(!access.is_origin(host) && !access.is_origin("null") && !access.is_origin(""), "{only}");
            assert_eq!(access.cookie(access.token.as_ref().unwrap()).contains("; Secure"), scheme == "https");
        }
        assert!(matches!(access("0.0.0.0:7878", None), Err(WebError::NoUrl { .. })), "which name would it be?");
        for url in [
            "",
            "bench.example",
            "//bench.example",
            "ftp://bench.example",
            "http://a b",
            "http://",
            "http://:7878",
            "http://bench.example:",
            "http://bench.example:99999",
            "http://bench.example/path",
            "http://bench.example/?query",
            "http://user@bench.example",
        ] {
            assert!(matches!(access("127.0.0.1:7878", Some(url)), Err(WebError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn a_token_is_long_needs_no_escape_and_is_never_shown() {
        let token = Token::new(SECRET).unwrap();
        assert!(token.is(SECRET) && token.is_cookie(&token.cookie()));
        for other in ["", "correct-horse-batter", "correct-horse-battery ", "Correct-horse-battery", &token.cookie()] {
            assert!(!token.is(other) && !token.is_cookie(SECRET), "{other}");
        }
        assert!(!format!("{token:?}").contains("horse"));
        let short = Token::new("short").unwrap_err().to_string();
        assert!(short.contains("5 characters") && short.contains("openssl rand -hex 32"), "{short}");
        let strange = Token::new("correct horse battery").unwrap_err().to_string();
        assert!(strange.contains("' '") && !strange.contains("horse"), "{strange}");
    }
}
