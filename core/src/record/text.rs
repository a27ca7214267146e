//! Text as search compares it: NFKC, lower case, words. The bytes that people wrote stay as they are.

use unicode_normalization::UnicodeNormalization;

/// Folds a text for comparison: compatibility forms, case, accents kept, white space to single spaces.
#[must_use]
pub fn fold_text(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = String::with_capacity(text.len());
        for word in text.split_ascii_whitespace() {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        }
        return folded;
    }
    let lower: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a folded text: runs of letters and digits.
pub fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_case_fold_and_scripts_stay() {
        assert_eq!(fold_text("  MÜLLER\u{3000}Ｊｏｈｎ "), "müller john");
        assert_eq!(fold_text("José"), fold_text("JOSE\u{301}"));
        assert_eq!(fold_text("王 小明"), "王 小明");
        assert_eq!(words("amoxicillin 500 mg/5 ml").collect::<Vec<_>>(), ["amoxicillin", "500", "mg", "5", "ml"]);
    }
}
