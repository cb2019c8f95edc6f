//! Cursors and the other parameters of the list, in a whole query.

use std::sync::LazyLock;

use api_tests::Answer;
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_URL_SAFE_NO_PAD,
};
use form_urlencoded::Serializer;
use poem::http::{Method, Uri};
use serde_json::{Value, json};

use crate::app::{ALL, APP, headers};

const USER: &str = "cursor";

/// Tasks that all sorts and filters distinguish, and some that they do not.
static TASKS: LazyLock<usize> = LazyLock::new(|| {
    let titles = ["a", "A", "b", "été", "Eté", "🎉", "zz", "b", "c", "milk", "Milk"];
    for (n, title) in titles.into_iter().enumerate() {
        let due_date = ["2030-01-02T10:00:00Z", "2030-01-02T10:00:00Z", "0001-01-01T00:00:00Z"].get(n % 5);
        let priority = ["none", "low", "medium", "high"][n % 4];
        let tags = if n % 3 == 0 { json!(["x"]) } else { json!([]) };
        let task = json!({
            "title": title, "completed": n % 2 == 0, "priority": priority, "tags": tags, "due_date": due_date,
        });
        APP.create(USER, &task);
    }
    titles.len()
});

/// A list with a cursor is the end of the list without it, whatever the position, and its pages are without gaps.
pub fn check(input: &[u8]) {
    let tasks = *TASKS;
    let target = str::from_utf8(input).ok().and_then(|query| format!("{ALL}?{query}").parse::<Uri>().ok());
    let Some(target) = target else { return };
    let first = get(&target);
    if first.status != 200 {
        return;
    }
    let pairs = || form_urlencoded::parse(target.query().unwrap_or_default().as_bytes());
    let others = pairs().filter(|(name, _)| name != "cursor" && name != "limit");
    let all = Serializer::new(String::new()).extend_pairs(others).append_pair("limit", "500").finish();
    let all = ids(&get(&format!("{ALL}?{all}").parse().unwrap()));
    let mut rest = ids(&first);
    let mut next = first.next_page();
    for _ in 0..tasks {
        let Some(path) = next else { break };
        let page = get(&path.parse().unwrap());
        rest.extend(ids(&page));
        next = page.next_page();
    }
    assert_eq!(next, None, "the list never ends");
    assert!(all.ends_with(&rest), "{rest:?} is not the end of {all:?}");
    match pairs().find(|(name, _)| name == "cursor") {
        None => assert_eq!(rest, all),
        Some((_, cursor)) => assert!(is_canonical(&cursor), "another text for a cursor"),
    }
}

fn get(target: &Uri) -> Answer {
    APP.send(&Method::GET, target, &headers(USER), b"")
}

fn ids(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().unwrap().iter().map(|task| task["id"].clone()).collect()
}

/// Whether the text is the only one for its bytes.
fn is_canonical(text: &str) -> bool {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&URL_SAFE, config).decode(text).unwrap();
    BASE64_URL_SAFE_NO_PAD.encode(bytes) == text
}
