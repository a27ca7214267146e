//! The fuzz targets. As tests they run what is committed (`__fuzz__/TARGET/corpus` and `crashes`) and some hundreds of
//! new inputs each; see docs/testing.md for longer runs.
#![allow(missing_docs)]

use bolero::check;
use std::time::Duration;

/// New inputs of a test run, and the time after which no more are begun.
macro_rules! target {
    ($name:ident, $inputs:literal, $target:path) => {
        #[test]
        fn $name() {
            check!()
                .with_iterations($inputs)
                .with_test_time(Duration::from_secs(15))
                .with_max_len(1024)
                .for_each(|input: &[u8]| $target(input));
        }
    };
}

target!(run, 3_000, daybook_fuzz::decoders::run);
target!(body, 20_000, daybook_fuzz::decoders::body);
target!(control, 20_000, daybook_fuzz::decoders::control);
target!(founding, 1_000, daybook_fuzz::decoders::founding);
target!(code, 2_000, daybook_fuzz::decoders::code);
target!(entry, 200, daybook_fuzz::members::entry);
target!(control_entry, 200, daybook_fuzz::members::control_entry);
target!(export, 200, daybook_fuzz::members::export);
target!(fhir, 200, daybook_fuzz::members::fhir);
target!(salvage, 150, daybook_fuzz::rescue::salvage);
target!(frame, 300, daybook_fuzz::sessions::frame);
target!(session_pair, 200, daybook_fuzz::sessions::session_pair);
