//! A tree of HTML written as XML, which paper and EPUB are made from.

use ego_tree::NodeRef;
use scraper::{ElementRef, Node};

/// What becomes of an element.
pub enum Fate {
    /// It stays, with these attributes.
    Stays(Vec<(String, String)>),
    /// It stays, in an `mstyle` with the first of these attributes.
    Styled(Vec<(String, String)>, Vec<(String, String)>),
    /// It goes, with all that is in it.
    Goes,
}

/// The attributes that an element has.
pub fn attributes(element: ElementRef<'_>) -> Vec<(String, String)> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    element.value().attrs().map(owned).collect()
}

/// Writes a node and all that is in it; `fate` decides on each element.
pub fn write(node: NodeRef<'_, Node>, fate: &dyn Fn(ElementRef<'_>) -> Fate, out: &mut String) {
    match node.value() {
        Node::Text(text) => escape(text, out),
        Node::Element(element) => {
            let Some(wrapped) = ElementRef::wrap(node) else {
                return;
            };
            let (style, attributes) = match fate(wrapped) {
                Fate::Stays(attributes) => (None, attributes),
                Fate::Styled(style, attributes) => (Some(style), attributes),
                Fate::Goes => return,
            };
            if let Some(style) = &style {
                open("mstyle", "", style, out);
                out.push('>');
            }
            let name = element.name();
            let space = if let "svg" | "math" = name {
                &*element.name.ns
            } else {
                ""
            };
            open(name, space, &attributes, out);
            if node.has_children() {
                out.push('>');
                for child in node.children() {
                    write(child, fate, out);
                }
                out.push_str("</");
                out.push_str(name);
                out.push('>');
            } else {
                out.push_str("/>");
            }
            if style.is_some() {
                out.push_str("</mstyle>");
            }
        }
        _ => {}
    }
}

/// The tag of an element up to its end.
fn open(name: &str, space: &str, attributes: &[(String, String)], out: &mut String) {
    out.push('<');
    out.push_str(name);
    if !space.is_empty() {
        out.push_str(" xmlns=\"");
        out.push_str(space);
        out.push('"');
    }
    for (name, value) in attributes {
        // The name space is said above.
        if name.starts_with("xmlns") {
            continue;
        }
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        escape(value, out);
        out.push('"');
    }
}

/// `text` as it stands between tags or in an attribute.
pub fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // What XML cannot hold.
            c if c.is_control() && !matches!(c, '\n' | '\t' | '\r') => {}
            c => out.push(c),
        }
    }
}

/// The same as a text of its own.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use scraper::Html;

    #[test]
    fn a_tree_becomes_xml_with_what_was_decided() {
        let html = Html::parse_fragment(
            "<p class=a>1 < 2<br><svg viewbox=\"0 0 1 1\"><path d=M0></svg><math><mi displaystyle=true>x</mi></math><b>gone</b></p>",
        );
        let fate = |element: ElementRef<'_>| match element.value().name() {
            "b" => Fate::Goes,
            "mi" => Fate::Styled(attributes(element), Vec::new()),
            _ => Fate::Stays(attributes(element)),
        };
        let mut out = String::new();
        for child in html.root_element().children() {
            write(child, &fate, &mut out);
        }
        assert_eq!(
            out,
            "<p class=\"a\">1 &lt; 2<br/><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\"><path d=\"M0\"/></svg>\
             <math xmlns=\"http://www.w3.org/1998/Math/MathML\"><mstyle displaystyle=\"true\"><mi>x</mi></mstyle></math></p>"
        );
    }
}
