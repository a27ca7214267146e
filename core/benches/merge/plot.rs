//! What was measured as a picture: plain SVG, readable on light and on dark ground.

use super::report::name_of;
use serde_json::Value;
use std::fmt::Write;

const WIDTH: f64 = 820.0;
/// Where bars begin: left of it stand their names.
const LEFT: f64 = 270.0;
/// Right of it stand the figures of the longest bars.
const RIGHT: f64 = WIDTH - 80.0;
const BAR: f64 = 16.0;
const STEP: f64 = 24.0;

/// One bar.
struct Bar {
    name: String,
    figure: f64,
    class: &'static str,
}

/// Bars with one axis.
struct Panel {
    title: &'static str,
    axis: &'static str,
    bars: Vec<Bar>,
    /// What is wanted, as a line.
    goal: Option<f64>,
}

const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 14px } .axis { fill: #59636e }
  line { stroke: #d1d9e0 } .goal { stroke: #1f2328; stroke-dasharray: 4 3 }
  .ours { fill: #0969da } .theirs { fill: #9a6700 } .stage { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .axis { fill: #9198a1 } line { stroke: #3d444d } .goal { stroke: #f0f6fc }
    .ours { fill: #4493f8 } .theirs { fill: #d29922 } .stage { fill: #3fb950 }
  }
";

/// The picture of what was measured; panels of which nothing was are left out.
pub fn svg(results: &Value) -> String {
    let panels = [rates(results), stages(results), growth(results)];
    let (mut body, mut top) = (String::new(), 20.0);
    for panel in panels.iter().filter(|panel| !panel.bars.is_empty()) {
        top = panel.draw(&mut body, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top:.0}\" viewBox=\"0 0 {WIDTH} {top:.0}\" role=\"img\" \
         aria-label=\"Speed of Daybook on the workload merge-1\">\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn rates(results: &Value) -> Panel {
    let at = |place: &str| results.pointer(place).and_then(Value::as_f64);
    let mut bars = Vec::new();
    let mut bar = |name: &str, figure: Option<f64>, class| {
        bars.extend(figure.map(|figure| Bar { name: name.to_owned(), figure: figure / 1e3, class }));
    };
    bar("Daybook, encrypted, durable, two cores", at("/cores/all_entries_per_s"), "ours");
    bar("Daybook, encrypted, durable, one core", at("/merge/entries_per_s"), "ours");
    for form in results.pointer("/merge/automerge").and_then(Value::as_array).into_iter().flatten() {
        bar(&name_of(form), form["changes_per_s"].as_f64(), "theirs");
    }
    let title = "Merge, beside Automerge's own sync in memory";
    Panel { title, axis: "thousand entries a second", bars, goal: Some(150.0) }
}

fn stages(results: &Value) -> Panel {
    let stages = results.pointer("/stages").and_then(Value::as_array).into_iter().flatten();
    let bars = stages.filter_map(|stage| {
        Some(Bar { name: stage["stage"].as_str()?.to_owned(), figure: stage["us"].as_f64()?, class: "stage" })
    });
    Panel {
        title: "What an entry costs, by stage",
        axis: "µs of the processor an entry",
        bars: bars.collect(),
        goal: None,
    }
}

fn growth(results: &Value) -> Panel {
    let sizes = results.pointer("/memory/sizes").and_then(Value::as_array).into_iter().flatten();
    let bars = sizes.filter_map(|size| {
        let entries = size["entries"].as_f64()?;
        let name = format!("in a book of {:.0} thousand entries", entries / 1e3);
        Some(Bar { name, figure: size["cpu_s"].as_f64()? * 1e6 / entries, class: "ours" })
    });
    Panel {
        title: "What an entry costs as the book grows",
        axis: "µs of the processor an entry",
        bars: bars.collect(),
        goal: None,
    }
}

impl Panel {
    /// Draws from `top` on; says where it ends.
    fn draw(&self, to: &mut String, top: f64) -> f64 {
        let greatest = self.bars.iter().map(|bar| bar.figure).chain(self.goal).fold(0.0, f64::max);
        let tick = tick(greatest);
        let end = (greatest / tick).ceil() * tick;
        let x = |figure: f64| LEFT + figure / end * (RIGHT - LEFT);
        let (first, last) = (top + 14.0, top + 14.0 + STEP * self.bars.len() as f64);
        line(to, (20.0, top), "title", "start", self.title);
        let ticks = std::iter::successors(Some(0.0), |at: &f64| Some(at + tick));
        for figure in ticks.take_while(|figure| *figure <= end + tick / 2.0) {
            let _ = writeln!(to, "<line x1=\"{0:.1}\" y1=\"{first:.1}\" x2=\"{0:.1}\" y2=\"{last:.1}\"/>", x(figure));
            line(to, (x(figure), last + 16.0), "axis", "middle", &format!("{figure}"));
        }
        for (at, bar) in self.bars.iter().enumerate() {
            let y = first + STEP * at as f64 + (STEP - BAR) / 2.0;
            line(to, (LEFT - 8.0, y + 12.5), "name", "end", &bar.name);
            let _ = writeln!(
                to,
                "<rect class=\"{}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
                bar.class,
                x(bar.figure) - LEFT
            );
            let digits = if end < 20.0 { 2 } else { 0 };
            line(to, (x(bar.figure) + 6.0, y + 12.5), "figure", "start", &format!("{:.digits$}", bar.figure));
        }
        if let Some(goal) = self.goal {
            let _ = writeln!(
                to,
                "<line class=\"goal\" x1=\"{0:.1}\" y1=\"{first:.1}\" x2=\"{0:.1}\" y2=\"{last:.1}\"/>",
                x(goal)
            );
            line(to, (x(goal), first - 4.0), "axis", "middle", &format!("wanted on one core: {goal}"));
        }
        line(to, (f64::midpoint(LEFT, RIGHT), last + 34.0), "axis", "middle", self.axis);
        last + 64.0
    }
}

/// A round distance between ticks, of which four to ten reach so far.
fn tick(greatest: f64) -> f64 {
    let power = 10_f64.powf((greatest / 4.0).log10().floor());
    [5.0, 2.5, 2.0].into_iter().map(|times| times * power).find(|tick| greatest / tick >= 4.0).unwrap_or(power)
}

fn line(to: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(to, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}
