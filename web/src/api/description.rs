//! `/api/openapi.json`: the API in the words of OpenAPI 3.1, made of its endpoints.

use serde_json::Value;
use utoipa::PartialSchema as _;
use utoipa::ToSchema as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApiBuilder, PathsBuilder};

use crate::error::Told;

const WORDS: &str = "The results store of `elastictok serve`, read only. Numbers are as exact as the store has them; null is \
what is not known, and nothing is NaN. Times are UTC, RFC 3339. Lists come in pages that say how many things there are in \
all and where the next page is. Every answer has an `ETag`: with `If-None-Match` it is sent again only if it is another. \
A server that others can reach wants its token, as `Authorization: Bearer …`; one on the loopback interface may want none. \
Pictures are at the addresses that samples name. Fields may be added; those that are here keep their meaning.";

const TOKEN: &str = "token";

/// The description.
pub fn description() -> Value {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new().schema(Told::name(), Told::schema());
    for endpoint in super::stored().into_iter().chain([super::built_in()]) {
        let (address, item, schemas) = endpoint.describe();
        paths = paths.path(address, item);
        components = components.schemas_from_iter(schemas);
    }
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let info = InfoBuilder::new().title("elastictok").version(env!("CARGO_PKG_VERSION")).description(Some(WORDS));
    let document = OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components.security_scheme(TOKEN, bearer).build()))
        // Either nothing or the token.
        .security(Some([SecurityRequirement::default(), SecurityRequirement::new(TOKEN, Vec::<String>::new())]));
    serde_json::to_value(document.build()).expect("a description is plain data")
}
