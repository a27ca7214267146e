//! Tests of the splitter: every shape of input, every fault, every way back.

use super::*;
use crate::exchange::piece::RESOURCE_BYTES_MAX;

fn split(text: impl AsRef<[u8]>) -> Vec<(u64, Result<String, Fault>)> {
    split_from(text.as_ref())
}

fn split_from(from: impl Read) -> Vec<(u64, Result<String, Fault>)> {
    let mut splitter = Splitter::new(from);
    let mut found = Vec::new();
    while let Some(piece) = splitter.next_piece().unwrap() {
        let text = piece.content.map(|bytes| String::from_utf8(bytes).unwrap());
        if let Ok(text) = &text {
            assert!(piece.id.is_none_or(|id| text.contains(&id)));
        }
        found.push((piece.line, text));
    }
    found
}

/// Resource `id` of the given type.
fn patient(id: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"text":"}}{{\"[é"}}]}}"#)
}

fn good(line: u64, id: &str) -> (u64, Result<String, Fault>) {
    (line, Ok(patient(id)))
}

/// Gives one byte at a time.
struct Dripping<'a>(&'a [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        to[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn ndjson_is_split_by_line() {
    let text = format!("\u{feff}\n{}\r\n\n{}\n{}", patient("a"), patient("b"), patient("c"));
    let expected = vec![good(2, "a"), good(4, "b"), good(5, "c")];
    assert_eq!(split(&text), expected);
    assert_eq!(split_from(Dripping(text.as_bytes())), expected);
}

#[test]
fn a_bundle_is_split_by_entry_wherever_its_members_stand() {
    let entries = format!(
        "[{{\"fullUrl\":\"urn:uuid:{{\",\"resource\":{}}},\n{{\"search\":{{\"resource\":1}},\"resource\":{},\"request\":{{}}}},{{}}]",
        patient("a"),
        patient("b")
    );
    for text in [
        format!(r#"{{"resourceType":"Bundle","type":"collection","total":2,"entry":{entries},"link":[{{}}]}}"#),
        format!(r#"{{"entry":{entries},"resourceType":"Bundle"}}"#),
        format!(r#"{{"meta":{{"entry":[]}},"entry":{entries}}}"#),
    ] {
        assert_eq!(split(&text), [good(1, "a"), good(2, "b")], "{text}");
        assert_eq!(split_from(Dripping(text.as_bytes())), [good(1, "a"), good(2, "b")]);
    }
}

#[test]
fn a_single_resource_may_span_lines() {
    let text = "{\n  \"id\": \"x\",\n  \"resourceType\": \"Patient\"\n}\n";
    let mut splitter = Splitter::new(text.as_bytes());
    let piece = splitter.next_piece().unwrap().unwrap();
    assert_eq!((piece.resource_type.as_deref(), piece.id.as_deref(), piece.line), (Some("Patient"), Some("x"), 1));
    assert_eq!(piece.content, Ok(text.trim_end().as_bytes().to_vec()));
    assert_eq!(splitter.next_piece().unwrap(), None);
}

#[test]
fn a_list_has_entries_and_is_no_bundle() {
    let list = r#"{"resourceType":"List","entry":[{"item":{"display":"x"}}]}"#;
    assert_eq!(split(list), [(1, Ok(list.to_owned()))]);
    assert_eq!(split(r#"{"resourceType":"Bundle","entry":[]}"#), []);
}

#[test]
fn bundles_may_stand_one_a_line() {
    let bundle = |id: &str| format!("{{\"entry\":[{{\"resource\":{}}}]}}\n", patient(id));
    assert_eq!(split(format!("{}{}", bundle("a"), bundle("b"))), [good(1, "a"), good(2, "b")]);
}

#[test]
fn a_broken_line_costs_itself_alone() {
    for broken in
        ["{\"a\":\"no end}", "{\"a\":[1,{\"b\":2}", "{\"a\":", "garbage", "{\"a\":1}}", "{", "\"text\"", "[{}]", "{]"]
    {
        let text = format!("{}\n{broken}\n{}\n", patient("a"), patient("b"));
        let found = split(&text);
        assert_eq!((&found[0], found.last()), (&good(1, "a"), Some(&good(3, "b"))), "{broken}");
        assert!(found[1..found.len() - 1].iter().any(|(line, piece)| *line == 2 && piece.is_err()), "{broken}");
    }
}

#[test]
fn a_broken_first_line_costs_itself_alone() {
    for broken in ["{\"a\":\"no end}", "{\"a\":[1,{\"b\":2}", "{\"a\":", "{\"a\":[", "garbage", "{", "{\"a\" 1}"] {
        let text = format!("{broken}\n{}\n{}\n", patient("a"), patient("b"));
        let found = split(&text);
        assert_eq!(found.len(), 3, "{broken}: {found:?}");
        assert!(found[0].0 == 1 && found[0].1.is_err(), "{broken}");
        assert_eq!(found[1..], [good(2, "a"), good(3, "b")], "{broken}");
    }
}

#[test]
fn a_broken_entry_costs_itself_alone() {
    for broken in [
        r#"{"resource":{"id":"no end}}"#,
        r#"{"resource":{"id":"x"}"#,
        r#"{"resource":{"name":[{"text":"x"}}}"#,
        r#"{"fullUrl":"x,"resource":{"id":"x"}}"#,
        r#"{"resource":{"id":nothing here}}"#,
        r#"{"resource":}"#,
        r#"{"resource":"x"}"#,
        r#"{"resource":[1,2]}"#,
        "[{}]",
        "17",
        "null",
        "",
    ] {
        let entry = |id: &str| format!("{{ \"resource\" : {}}}", patient(id));
        for separator in [",", ",\n"] {
            let list = [entry("a"), broken.to_owned(), entry("b"), entry("c")].join(separator);
            let found = split(format!("{{\"resourceType\":\"Bundle\",\"entry\":[{list}],\"link\":[]}}"));
            let ids: Vec<&String> =
                found.iter().filter_map(|(_, p)| p.as_ref().ok()).filter(|p| p.len() > 20).collect();
            assert_eq!(ids, [&patient("a"), &patient("b"), &patient("c")], "{broken}{separator} {found:?}");
            assert!(found.iter().any(|(_, piece)| piece.is_err()), "{broken}");
        }
    }
}

#[test]
fn a_bundle_broken_before_its_entries_still_gives_them() {
    let text = format!("{{\"resourceType\":\"Bundle\",\"meta\":{{,\n\"entry\":[{{\"resource\":{}}}]}}", patient("a"));
    assert_eq!(split(&text), [(1, Err(Fault::NotJson)), good(2, "a")]);
}

#[test]
fn what_came_before_a_truncation_is_kept() {
    let whole =
        format!("{{\"entry\":[{{\"resource\":{}}},{{\"resource\":{}}}],\"link\":[]}}", patient("a"), patient("b"));
    let second = whole.rfind("{\"resourceType").unwrap();
    for cut in second..whole.len() {
        let found = split(&whole.as_bytes()[..cut]);
        assert_eq!(found[0], good(1, "a"), "{cut}");
        assert_eq!(found.last(), Some(&(1, Err(Fault::Truncated))), "{cut}");
    }
    assert_eq!(split("{\"resourceType\":\"Patient\",\"id\":\"x"), [(1, Err(Fault::Truncated))]);
    let lines = format!("{}\n{{\"resourceType\":\"Pat", patient("a"));
    assert_eq!(split(lines), [good(1, "a"), (2, Err(Fault::Truncated))]);
}

#[test]
fn what_is_not_json_at_all_is_said_once() {
    let binary: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for text in [&b"a,b,c\n1,2,3\n4,5,6\n"[..], b"<html>\n<body>\n", b"[1,\n2,\n3]", b"\xff\xfe{\0\"\0", &binary] {
        assert_eq!(split(text).len(), 1);
        assert_eq!(split(text)[0].1, Err(Fault::NotJson));
    }
    assert_eq!(split(""), []);
    assert_eq!(split(" \n\r\n"), []);
}

#[test]
fn a_broken_document_of_many_lines_is_said_once() {
    let text = "{\n  \"resourceType\": \"Patient\",\n  \"name\": [\n    {\n      \"text\": oops!\n    }\n  ]\n}\n";
    assert_eq!(split(text), [(1, Err(Fault::NotJson))]);
}

#[test]
fn a_long_string_is_passed_over_without_being_held() {
    let long = format!(r#"{{"resourceType":"Patient","id":"l","text":"{}","x":[]}}"#, "x".repeat(20_000_000));
    let found = split(format!("{}\n{long}\n{}\n", patient("a"), patient("b")));
    assert_eq!(found, [good(1, "a"), (2, Err(Fault::TooLong)), good(3, "b")]);
    let entry = |text: &str| format!("{{\"resource\":{text}}}");
    let bundle = format!("{{\"entry\":[{},{},{}]}}", entry(&patient("a")), entry(&long), entry(&patient("b")));
    assert_eq!(split(&bundle), [good(1, "a"), (1, Err(Fault::TooLong)), good(1, "b")]);
    let mut splitter = Splitter::new(long.as_bytes());
    let piece = splitter.next_piece().unwrap().unwrap();
    assert_eq!((piece.id.as_deref(), piece.content), (Some("l"), Err(Fault::TooLong)));
    assert!(splitter.building.bytes.capacity() <= RESOURCE_BYTES_MAX);
}

#[test]
fn sixty_four_levels_pass_and_more_do_not() {
    let nested = |levels: usize| {
        let inner = levels - 1;
        format!(r#"{{"resourceType":"Patient","id":"d","x":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
    };
    for (levels, passes) in [(64, true), (65, false), (200, false), (3_000, false)] {
        let lines = format!("{}\n{}\n{}\n", patient("a"), nested(levels), patient("b"));
        let entries = format!(
            "{{\"entry\":[{{\"resource\":{}}},{{\"resource\":{}}},{{\"resource\":{}}}]}}",
            patient("a"),
            nested(levels),
            patient("b")
        );
        for found in [split(&lines), split(&entries)] {
            let expected = if passes { Ok(nested(levels)) } else { Err(Fault::TooDeep) };
            assert_eq!(found.len(), 3);
            assert_eq!((&found[0].1, &found[1].1, &found[2].1), (&Ok(patient("a")), &expected, &Ok(patient("b"))));
        }
    }
}

#[test]
fn too_many_values_are_not_parsed() {
    let many = format!(r#"{{"resourceType":"Patient","x":[{}0]}}"#, "0,".repeat(70_000));
    assert_eq!(split(format!("{}\n{many}\n", patient("a"))), [good(1, "a"), (2, Err(Fault::TooManyValues))]);
}

#[test]
fn hostile_nesting_of_entries_costs_no_more_than_twice_its_bytes() {
    let text = format!("{{\"entry\":[{}", "{\"resource\":{\"x\":[".repeat(100_000));
    assert_eq!(split(&text), [(1, Err(Fault::TooDeep))]);
    let text = format!("{{\"entry\":[{}!", "{\"resource\":{\"x\":[1},".repeat(100_000));
    assert!(split(&text).iter().all(|(_, piece)| piece.is_err()));
    let text = "{\"a\":\n".repeat(100_000);
    assert_eq!(split(&text), [(1, Err(Fault::TooDeep))]);
    let text = "{\"a\":[1,\n".repeat(30);
    assert!((1..=30).map(|line| (line, Err(Fault::Truncated))).eq(split(&text)));
}

#[test]
fn errors_of_the_reader_are_passed_on() {
    struct Vanishing(bool);
    impl Read for Vanishing {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            to[..3].copy_from_slice(b"{}\n");
            Ok(3)
        }
    }
    let mut splitter = Splitter::new(Vanishing(false));
    assert!(splitter.next_piece().unwrap().is_some());
    assert_eq!(splitter.next_piece().unwrap_err().kind(), io::ErrorKind::NotConnected);
}

#[test]
fn damaged_input_is_split_alike_however_it_comes_and_costs_little() {
    let entries: Vec<String> = (0..6).map(|n| format!("{{\"resource\":{}}}", patient(&n.to_string()))).collect();
    let bundle = format!("{{\"resourceType\":\"Bundle\",\"entry\":[\n{}]}}\n", entries.join(",\n"));
    let lines: String = (0..6).fold(String::new(), |text, n| text + &patient(&n.to_string()) + "\n");
    let mut seed = 7_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for round in 0..4_000 {
        let mut text = if round % 2 == 0 { bundle.clone() } else { lines.clone() }.into_bytes();
        for _ in 0..=random(3) {
            let place = 40 + random(text.len() - 40);
            match random(3) {
                0 => text[place] = b"{}[]\",:\\\n0a\xff"[random(12)],
                1 => drop(text.remove(place)),
                _ => text.insert(place, b"{}[]\",:\\\n0a\xff"[random(12)]),
            }
        }
        let whole = split_lossy(text.as_slice());
        assert_eq!(whole, split_lossy(Dripping(&text)));
        let good = whole.iter().filter(|(_, piece)| piece.is_ok()).count();
        assert!(good >= 2, "at most three of six are touched, and one behind each: {}", String::from_utf8_lossy(&text));
    }
}

fn split_lossy(from: impl Read) -> Vec<(u64, Result<Vec<u8>, Fault>)> {
    let mut splitter = Splitter::new(from);
    std::iter::from_fn(|| splitter.next_piece().unwrap()).map(|piece| (piece.line, piece.content)).collect()
}
