//! Runs the cases of a part, and says what came of them.

use crate::compare::{blocks, distance, heatmap, quoted};
use crate::harness::{Thrown, attempt};
use crate::part::{Case, Compared, Named, Order, Part, Run, Target};
use crate::shared;
use verdict::{Line, Outcome, Report};

/// What came of a part.
pub struct Judged {
    name: &'static str,
    lines: Vec<Line>,
    /// The report, without the exercise and the lines, unless all is right.
    fault: Option<Report>,
}

/// The report on an exercise: of the first part that is wrong, or else of what is not written
/// yet, or else `all`.
#[must_use]
pub fn conclude(exercise: &str, all: &str, parts: Vec<Judged>) -> Report {
    let several = parts.len() > 1;
    let title = |part: &str, text: &str| {
        if several {
            format!("{part}: {text}")
        } else {
            text.to_owned()
        }
    };
    let (mut lines, mut right, mut worst) = (Vec::new(), Vec::new(), None::<Report>);
    for mut part in parts {
        if several && part.fault.is_none() {
            part.lines = in_short(part.lines);
        }
        lines.extend(part.lines.into_iter().map(|line| Line {
            name: title(part.name, &line.name),
            ..line
        }));
        let Some(mut fault) = part.fault else {
            right.push(part.name);
            continue;
        };
        if several {
            fault.headline = format!("{}: {}", part.name, fault.headline);
        }
        // What was written is judged before what was not.
        let open = |report: &Report| report.outcome == Outcome::Unwritten;
        if worst
            .as_ref()
            .is_none_or(|worst| open(worst) && !open(&fault))
        {
            worst = Some(fault);
        }
    }
    let mut report = worst.unwrap_or_else(|| Report::new(exercise, Outcome::Passed, all));
    exercise.clone_into(&mut report.exercise);
    if several && !report.passed() && !right.is_empty() {
        report
            .notes
            .push(format!("Right already: {}.", listed(&right)));
    }
    report.lines = lines;
    report
}

/// `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [few @ .., last] if !few.is_empty() => format!("{} and {last}", few.join(", ")),
        _ => names.concat(),
    }
}

/// What the reader's function made of one case.
struct Tried<'a, C, A> {
    case: &'a C,
    answer: A,
    thrown: Option<Thrown>,
}

/// The lines of a part in which all is right, where other parts have theirs: more than three
/// targets are told in one, and the finite differences after it.
fn in_short(lines: Vec<Line>) -> Vec<Line> {
    let (differences, targets): (Vec<Line>, Vec<Line>) =
        lines.into_iter().partition(|line| line.name == DIFFERENCES);
    let inexact = targets.iter().find(|line| line.detail != EXACT);
    let told = match inexact.or(targets.first()) {
        Some(line) if targets.len() > 3 => vec![Line {
            name: "all".to_owned(),
            ..line.clone()
        }],
        _ => targets,
    };
    told.into_iter().chain(differences).collect()
}

const DIFFERENCES: &str = "finite differences";
const EXACT: &str = "equal to the last bit";

impl<C: Case, A: 'static> Part<C, A> {
    /// The report of an exercise that is this part alone; `all` is said when all is right.
    #[must_use]
    pub fn report(&self, exercise: &str, all: &str, run: Run<'_, C, A>, seed: u64) -> Report {
        conclude(exercise, all, vec![self.judge(run, seed)])
    }

    /// Tries `run` on the cases of `seed`.
    #[must_use]
    pub fn judge(&self, run: Run<'_, C, A>, seed: u64) -> Judged {
        let cases = (self.cases)(seed);
        let tried: Vec<Tried<'_, C, A>> =
            cases.iter().map(|case| self.attempt(run, case)).collect();
        if let Some(todo) = tried
            .iter()
            .filter_map(|t| t.thrown.as_ref())
            .find(|t| t.is_todo())
        {
            return self.unwritten(&tried, todo);
        }
        let returned: Vec<&Tried<'_, C, A>> = tried.iter().filter(|t| t.thrown.is_none()).collect();
        let targets: Vec<_> = self
            .targets
            .iter()
            .map(|t| compared(t, &returned))
            .collect();
        let mut lines: Vec<Line> = (self.targets.iter().zip(&targets))
            .filter(|(_, compared)| !compared.is_empty())
            .map(|(target, compared)| line(target, compared))
            .collect();
        let mut fault = self.first_wrong(&returned, &targets);
        if let Some(stopped) = tried.iter().find(|t| t.thrown.is_some()) {
            fault = Some(self.panicked(stopped, fault));
            // Nothing is right of a function that does not always return.
            for line in lines.iter_mut().filter(|line| line.right) {
                line.right = false;
                line.detail = format!(
                    "right in {} of {} cases; in the others it panicked",
                    returned.len(),
                    tried.len()
                );
            }
        }
        if fault.is_none()
            && let Some((line, disagreement)) = self.against_differences(run, seed)
        {
            lines.push(line);
            fault = disagreement;
        }
        Judged {
            name: self.name,
            lines,
            fault,
        }
    }

    fn attempt<'a>(&self, run: Run<'_, C, A>, case: &'a C) -> Tried<'a, C, A> {
        let mut answer = (self.blank)(case);
        let thrown = attempt(|| run(case, &mut answer)).err();
        Tried {
            case,
            answer,
            thrown,
        }
    }

    /// Something is `todo!()`; what was written before it counts.
    fn unwritten(&self, tried: &[Tried<'_, C, A>], todo: &Thrown) -> Judged {
        let all: Vec<&Tried<'_, C, A>> = tried.iter().collect();
        let mut lines = Vec::new();
        for target in &self.targets {
            let compared = compared(target, &all);
            let line = line(target, &compared);
            lines.push(if line.right {
                line
            } else {
                Line {
                    detail: "not written yet".to_owned(),
                    ..line
                }
            });
        }
        let right: Vec<&str> = lines
            .iter()
            .filter(|l| l.right)
            .map(|l| l.name.as_str())
            .collect();
        let mut headline = todo.not_written();
        if right.is_empty() {
            lines.clear();
            headline += " (what stands above it is judged once the function returns)";
        } else {
            headline += &format!("; right already: {}", listed(&right));
        }
        Judged {
            name: self.name,
            lines,
            fault: Some(Report::new("", Outcome::Unwritten, headline)),
        }
    }

    /// The report on the wrong target that is told first.
    fn first_wrong(
        &self,
        returned: &[&Tried<'_, C, A>],
        targets: &[Vec<Compared<'_, C>>],
    ) -> Option<Report> {
        let wrong = |(_, compared): &(&Target<C, A>, &Vec<Compared<'_, C>>)| {
            compared.iter().any(|c| !c.fits)
        };
        let mut wrong: Vec<_> = self.targets.iter().zip(targets).filter(wrong).collect();
        if self.order == Order::FirstWrong {
            wrong.truncate(1);
        }
        let mut told: Vec<_> = wrong
            .into_iter()
            .map(|(target, compared)| (target, compared, self.name_of(target, returned, compared)))
            .collect();
        let first = told.iter().position(|(.., named)| named.is_some());
        if told.is_empty() {
            return None;
        }
        let (target, compared, named) = told.swap_remove(first.unwrap_or(0));
        let mut report = self.tell(target, compared, named);
        let broken = compared.iter().position(|c| !c.fits).unwrap_or(0);
        self.show_fit(&mut report, target.name, &compared[broken]);
        let (tried, id) = (returned[broken], report.mistake.clone().unwrap_or_default());
        let note = self
            .note
            .and_then(|note| note(tried.case, &tried.answer, &id));
        report.notes.extend(note);
        Some(report)
    }

    /// Which mistake makes what was found in every case, or in those that are not at the edge
    /// if one of them is wrong.
    fn name_of(
        &self,
        target: &Target<C, A>,
        returned: &[&Tried<'_, C, A>],
        compared: &[Compared<'_, C>],
    ) -> Option<Named> {
        let at_edge = |c: &Compared<'_, C>| self.edges.iter().any(|edge| (edge.which)(c.case));
        let only_the_edge = compared.iter().all(|c| c.fits || at_edge(c));
        let counts = |c: &&Compared<'_, C>| only_the_edge || !at_edge(c);
        let counted = || compared.iter().filter(counts);
        let mut of_target = self.mistakes.iter().filter(|m| m.target == target.name);
        let made = of_target.find(|mistake| {
            let makes =
                |c: &Compared<'_, C>| target.makes(c.case, &(mistake.wrong)(c.case), &c.found);
            counted().all(makes)
        });
        if let Some(mistake) = made {
            return Some(Named {
                id: mistake.id.clone(),
                sentence: mistake.sentence.clone(),
                section: Some(mistake.section),
            });
        }
        let broken = compared.iter().find(|c| !c.fits)?;
        let mut edges = self.edges.iter();
        let edge = edges.find(|e| e.targets.contains(&target.name) && (e.which)(broken.case));
        if let Some(edge) = edge.filter(|_| only_the_edge) {
            return Some(Named {
                id: edge.id.to_owned(),
                sentence: edge.sentence.to_owned(),
                section: Some(edge.section),
            });
        }
        let usable = |c: &Compared<'_, C>| {
            c.wanted.len() == c.found.len() && c.found.iter().all(|f| f.is_finite())
        };
        if !counted().all(usable) {
            return None;
        }
        let both = compared.iter().zip(returned);
        let broken = both.filter(|(c, _)| !c.fits && counts(c));
        let explained = self.explain.and_then(|explain| {
            let mut named = broken.filter_map(|(c, t)| explain(c.case, &t.answer, target.name));
            named.next()
        });
        let explained = explained.or_else(|| self.attributed(target.name, compared));
        let pairs: Vec<&Compared<'_, C>> = counted().collect();
        explained.or_else(|| shared::find(target, &self.targets, &pairs))
    }

    /// What is said of a wrong target: its mistake, if that has a name, and in any case the
    /// section, one place, the value found and the value wanted.
    fn tell(
        &self,
        target: &Target<C, A>,
        compared: &[Compared<'_, C>],
        named: Option<Named>,
    ) -> Report {
        let Some(first) = compared.iter().find(|c| !c.fits) else {
            unreachable!("a target is wrong in some case");
        };
        let difference = difference(target, first);
        let case = first.case.title();
        let section = named
            .as_ref()
            .and_then(|named| named.section)
            .unwrap_or(target.section);
        let mut report = match named {
            Some(named) => {
                let headline = self.headline(target.name, &named.sentence);
                let mut report = Report::new("", Outcome::Wrong, headline);
                report.mistake = Some(named.id);
                report.notes.push(format!("For {case}, {difference}."));
                report
            }
            None => {
                let id = if first.wanted.len() != first.found.len() {
                    "shape"
                } else if first.found.iter().any(|f| !f.is_finite()) {
                    "not-finite"
                } else {
                    "unknown"
                };
                let headline = self.headline(target.name, &format!("for {case}, {difference}"));
                let mut report = Report::new("", Outcome::Wrong, headline);
                report.mistake = Some(id.to_owned());
                report.notes.extend(right_for(compared));
                report
            }
        };
        report.section = Some(section.to_owned());
        let columns = target
            .extents(first.case)
            .last()
            .copied()
            .unwrap_or(1)
            .max(1);
        let rows = first.wanted.len() / columns;
        report.heatmap = heatmap(target.name, rows, columns, &first.wanted, &first.found);
        if let Some(map) = &mut report.heatmap {
            let axes = target.axes(first.case).into_iter();
            let axes: Vec<(&str, usize)> = axes.map(|(axis, length)| (axis.1, length)).collect();
            map.blocks = blocks(&axes[..axes.len().saturating_sub(2)]);
        }
        report
    }

    /// The report on a case that stopped: the mistake that the other cases show, if that has a
    /// name, or else the panic.
    fn panicked(&self, stopped: &Tried<'_, C, A>, others: Option<Report>) -> Report {
        let told = stopped.thrown.as_ref().map_or(String::new(), Thrown::told);
        let case = stopped.case.title();
        let named = |report: &Report| {
            let nameless = ["unknown", "shape", "not-finite"];
            report
                .mistake
                .as_deref()
                .is_some_and(|id| !nameless.contains(&id))
        };
        match others {
            Some(mut report) if named(&report) => {
                report
                    .notes
                    .push(format!("For {case}, it panicked {told}."));
                report
            }
            others => {
                let headline = format!("for {case}, it panicked {told}");
                let mut report = Report::new("", Outcome::Panicked, headline);
                report.section = self.targets.first().map(|t| t.section.to_owned());
                report
                    .notes
                    .extend(others.map(|wrong| format!("Elsewhere, {}.", wrong.headline)));
                report
            }
        }
    }

    fn against_differences(&self, run: Run<'_, C, A>, seed: u64) -> Option<(Line, Option<Report>)> {
        let numeric = self.numeric.as_ref()?;
        let line = |right, detail: String| Line {
            name: DIFFERENCES.to_owned(),
            right,
            detail,
        };
        Some(match attempt(|| numeric(run, seed)) {
            Ok(checked) if checked.passed() => (numeric_line(&checked), None),
            Ok(checked) => {
                let headline = "every value is right in the cases above, and on another input finite differences say otherwise";
                let mut report = Report::new("", Outcome::Wrong, headline);
                report.mistake = Some("unknown".to_owned());
                report.section = self.targets.first().map(|t| t.section.to_owned());
                report
                    .notes
                    .push(format!("They say:\n{}", quoted(&checked.to_string())));
                (numeric_line(&checked), Some(report))
            }
            Err(thrown) => {
                let headline = format!(
                    "it is right in the cases above, and panicked on the input of the check against finite differences, {}",
                    thrown.told()
                );
                let mut report = Report::new("", Outcome::Panicked, headline);
                report.section = self.targets.first().map(|t| t.section.to_owned());
                (line(false, "it panicked".to_owned()), Some(report))
            }
        })
    }
}

fn compared<'a, C: Case, A>(
    target: &Target<C, A>,
    tried: &[&Tried<'a, C, A>],
) -> Vec<Compared<'a, C>> {
    let compare = |t: &&Tried<'a, C, A>| {
        let (wanted, found) = ((target.right)(t.case), (target.get)(&t.answer));
        Compared {
            case: t.case,
            fits: target.fits(t.case, &wanted, &found),
            wanted,
            found,
        }
    };
    tried.iter().map(compare).collect()
}

/// The line of a target over all cases.
fn line<C: Case, A>(target: &Target<C, A>, compared: &[Compared<'_, C>]) -> Line {
    let detail = match compared.iter().find(|c| !c.fits) {
        None => {
            let distances = compared.iter().map(|c| distance(&c.wanted, &c.found));
            let worst = distances.fold(0.0, f64::max);
            if worst == 0.0 {
                EXACT.to_owned()
            } else {
                "equal to rounding".to_owned()
            }
        }
        Some(first) => {
            let line = crate::compare::line(target.name, &first.wanted, &first.found);
            format!("{}, for {}", line.detail, first.case.title())
        }
    };
    Line {
        name: target.name.to_owned(),
        right: compared.iter().all(|c| c.fits),
        detail,
    }
}

/// Where a target that is wrong is right, as far as that can be listed.
fn right_for<C: Case>(compared: &[Compared<'_, C>]) -> Option<String> {
    let right = compared.iter().filter(|c| c.fits);
    let right: Vec<String> = right.map(|c| c.case.title()).collect();
    match right.len() {
        0 => None,
        1..=8 => Some(format!("It is right for {}.", right.join("; for "))),
        count => Some(format!(
            "It is right in {count} of {} cases.",
            compared.len()
        )),
    }
}

/// `dq[6] (position 2, feature 0) is 0.5, and must be 0.25`, or what is said of a length.
fn difference<C: Case, A>(target: &Target<C, A>, of: &Compared<'_, C>) -> String {
    let count = of.found.len();
    if of.wanted.len() != count {
        let axes = target.axes(of.case);
        let letters: Vec<&str> = axes.iter().map(|(axis, _)| axis.0).collect();
        let each = match axes.as_slice() {
            [] => String::new(),
            [(axis, _)] => format!(", one for each {}", axis.1),
            _ => format!(", those of [{}]", letters.join(", ")),
        };
        return format!(
            "{} has {count} {}, and must have {}{each}",
            target.name,
            if count == 1 { "value" } else { "values" },
            of.wanted.len(),
        );
    }
    let fits = |at: &usize| {
        let alone = |values: &[f64]| -> Vec<f64> {
            let mut one = of.wanted.clone();
            one[*at] = values[*at];
            one
        };
        target.fits(of.case, &alone(&of.wanted), &alone(&of.found))
    };
    let wrong: Vec<usize> = (0..count).filter(|at| !fits(at)).collect();
    let at = wrong.first().copied().unwrap_or(0);
    let share = if wrong.len() > 1 {
        format!("; {} of its {count} values are wrong", wrong.len())
    } else {
        String::new()
    };
    let told = told(target, of.case, at, [of.found[at], of.wanted[at]]);
    format!("{told}{share}")
}

/// What is wrong with one element: its place in the array, what each index counts, and both
/// values.
pub(crate) fn told<C: Case, A>(
    target: &Target<C, A>,
    case: &C,
    at: usize,
    [found, wanted]: [f64; 2],
) -> String {
    let (mut rest, mut words) = (at, Vec::new());
    for (axis, extent) in target.axes(case).into_iter().rev() {
        words.insert(0, format!("{} {}", axis.1, rest % extent));
        rest /= extent;
    }
    let words = words.join(", ");
    match target.answers {
        Some([yes, _]) if [found, wanted] == [1.0, 0.0] => return format!("{words} {yes}"),
        Some([_, no]) if [found, wanted] == [0.0, 1.0] => return format!("{words} {no}"),
        _ => {}
    }
    let [found, wanted] = apart(found, wanted);
    let place = if words.is_empty() {
        target.name.to_owned()
    } else {
        format!("{}[{at}] ({words})", target.name)
    };
    format!("{place} is {found}, and must be {wanted}")
}

/// Both values with as many digits as it takes to tell them apart, and six at least; counts
/// as such.
pub(crate) fn apart(found: f64, wanted: f64) -> [String; 2] {
    let size = found.abs().max(wanted.abs());
    if found.fract() == 0.0 && wanted.fract() == 0.0 && size < 1e15 {
        return [found, wanted].map(|count| count.to_string());
    }
    let plain = !size.is_finite() || size == 0.0 || (1e-3..1e7).contains(&size);
    let write = |value: f64, digits: usize| {
        if plain || !value.is_finite() {
            format!("{value:.digits$}")
        } else {
            format!("{value:.digits$e}")
        }
    };
    let both = |digits| [found, wanted].map(|value| write(value, digits));
    let mut digits = 6..17;
    let enough = digits.find(|d| {
        let [found, wanted] = both(*d);
        found != wanted
    });
    both(enough.unwrap_or(17))
}

/// The line for a check against finite differences.
fn numeric_line(report: &gradcheck::Report) -> Line {
    let detail = match report.worst() {
        Some((name, worst)) => format!(
            "worst in d{name}: apart {:.0e}, may be {:.0e}, margin {}",
            worst.disagreement,
            worst.bound,
            worst.margin_text()
        ),
        None => "nothing could be compared".to_owned(),
    };
    Line {
        name: DIFFERENCES.to_owned(),
        right: report.passed(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A margin that is far above 1 is told by its size, not in all its digits.
    #[test]
    fn a_huge_margin_can_be_read() {
        for (slope, margin) in [(1.0, "margin 0."), (1e20, "e")] {
            let checked = gradcheck::Check::new("line")
                .input("x", &[1], vec![0.5])
                .run(|x| vec![x[0][0]], |_, dy| vec![vec![dy[0] * slope]]);
            let line = numeric_line(&checked);
            let (_, told) = line.detail.rsplit_once("margin ").unwrap();
            assert!(told.len() < 7, "{}", line.detail);
            assert!(line.detail.contains(margin), "{}", line.detail);
            assert_eq!(line.right, slope == 1.0);
        }
    }
}
