//! Text of records on a screen: control and bidi characters shown escaped, widths measured, long cells cut.

use unicode_width::UnicodeWidthStr;

/// The text with every character that could move, hide or reverse what stands on a screen shown escaped:
/// `\n`, `\t`, or `\u{202E}`.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            c if is_unsafe(c) => shown.push_str(&format!("\\u{{{:X}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// As [`safe`]; what is written from right to left is isolated, so that what follows stays in its column.
#[must_use]
pub fn cell(text: &str) -> String {
    let shown = safe(text);
    if shown.chars().any(is_right_to_left) { format!("\u{2068}{shown}\u{2069}") } else { shown }
}

/// Columns that a text takes on a screen.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, cut to at most `columns` with `…` at its end; isolation stays closed.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let isolated = text.ends_with('\u{2069}');
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| text.get(..*end).map_or(0, width) < columns).last().unwrap_or(0);
    let mut shown = text.get(..end).unwrap_or_default().to_owned();
    shown.push('…');
    if isolated {
        shown.push('\u{2069}');
    }
    shown
}

/// Control characters, bidi controls, and invisible ones that no writing needs.
const fn is_unsafe(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1F}'
            | '\u{7F}'..='\u{9F}'
            | '\u{AD}'
            | '\u{61C}'
            | '\u{180E}'
            | '\u{200B}'
            | '\u{200E}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Hebrew, Arabic, Syriac, Thaana, N'Ko, Adlam and their neighbours.
const fn is_right_to_left(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFE}'
            | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_shown_escaped() {
        assert_eq!(safe("a\u{1b}[2Jb"), "a\\u{1B}[2Jb");
        assert_eq!(safe("Mar\u{202e}ia\u{2066}"), "Mar\\u{202E}ia\\u{2066}");
        assert_eq!(safe("one\ntwo\tthree\r"), "one\\ntwo\\tthree\\u{D}");
        assert_eq!(safe("\u{feff}\u{200b}\u{85}\u{e0041}"), "\\u{FEFF}\\u{200B}\\u{85}\\u{E0041}");
    }

    #[test]
    fn writing_of_every_script_stays_as_it_is() {
        for text in ["María José", "王小明", "محمد", "می\u{200c}روم", "नमस्ते", "👩\u{200d}⚕️", "Nguyễn"]
        {
            assert_eq!(safe(text), text);
        }
        assert_eq!(cell("王小明"), "王小明");
        assert_eq!(cell("محمد"), "\u{2068}محمد\u{2069}");
    }

    #[test]
    fn cells_are_cut_by_columns_not_by_characters() {
        assert_eq!(cut("María", 5), "María");
        assert_eq!(cut("María José", 6), "María…");
        assert_eq!(cut("王小明子", 5), "王小…");
        assert_eq!(cut("王小明子", 6), "王小…");
        assert_eq!(cut("王小明", 6), "王小明");
        for columns in 1..9 {
            for text in ["王小明子山川", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"]
            {
                assert!(width(&cut(text, columns)) <= columns);
            }
        }
        let cut = cut(&cell("محمد بن عبد الله"), 6);
        assert!(cut.starts_with('\u{2068}') && cut.ends_with("…\u{2069}") && width(&cut) <= 6, "{cut:?}");
    }
}
