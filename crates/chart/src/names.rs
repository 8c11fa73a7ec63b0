//! Where the names of lines stand: at their ends, or where there is room.

/// A place on the drawing, in pixels.
pub(crate) type Place = (f64, f64);

/// How near a name stands to its line.
const GAP: f64 = 7.0;

/// A box with its middle, and half its width and height.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub middle: Place,
    pub half: Place,
}

impl Area {
    /// How many of the places lie inside, or nearer than `room`.
    fn holds(&self, places: &[Place], room: f64) -> usize {
        let near = |place: &&Place| {
            (place.0 - self.middle.0).abs() < self.half.0 + room
                && (place.1 - self.middle.1).abs() < self.half.1 + room
        };
        places.iter().filter(near).count()
    }

    fn meets(&self, other: &Area) -> bool {
        let grown = (self.half.0 + other.half.0, self.half.1 + other.half.1);
        (Area {
            half: grown,
            ..*self
        })
        .holds(&[other.middle], 2.0)
            > 0
    }
}

/// Heights for the middles of boxes one above the other: each as near as can be to the wanted
/// one, none on another, all between `low` and `high`. A box is given by the height that is
/// wanted for its middle, and by how high it is.
///
/// Boxes that would collide are moved as a pile, to the mean of what they want.
pub(crate) fn apart(boxes: &[(f64, f64)], (low, high): (f64, f64)) -> Vec<f64> {
    struct Pile {
        first: usize,
        /// The sum of the tops that its boxes want for it.
        wanted: f64,
        high: f64,
    }
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| boxes[a].0.total_cmp(&boxes[b].0));
    let top = |pile: &Pile, end: usize| {
        let mean = pile.wanted / (end - pile.first) as f64;
        mean.min(high - pile.high).max(low)
    };
    let mut piles: Vec<Pile> = Vec::new();
    for (at, &which) in order.iter().enumerate() {
        let (middle, height) = boxes[which];
        let mut last = Pile {
            first: at,
            wanted: middle - 0.5 * height,
            high: height,
        };
        while let Some(above) =
            piles.pop_if(|above| top(above, last.first) + above.high > top(&last, at + 1))
        {
            let count = (at + 1 - last.first) as f64;
            last = Pile {
                first: above.first,
                wanted: above.wanted + last.wanted - count * above.high,
                high: above.high + last.high,
            };
        }
        piles.push(last);
    }
    let mut middles = vec![0.0; boxes.len()];
    for (which, pile) in piles.iter().enumerate() {
        let end = piles.get(which + 1).map_or(order.len(), |next| next.first);
        let mut at = top(pile, end);
        for &which in &order[pile.first..end] {
            middles[which] = at + 0.5 * boxes[which].1;
            at += boxes[which].1;
        }
    }
    middles
}

/// Where a name of this size is freest beside `own`, the places of its line: away from the
/// places of other lines, from names that stand already, and inside of the frame; rather
/// towards the end of the line than at its start.
pub(crate) fn freest(
    half: Place,
    own: &[Place],
    others: &[Place],
    taken: &[Area],
    frame: Area,
) -> Area {
    let (dx, dy) = (half.0 + GAP, half.1 + GAP);
    // Those further away are for a name that finds another wherever it stands near its line.
    let heights = [-1.0, 0.0, 1.0, -2.0, 2.0, -3.0, 3.0, -4.0, 4.0];
    let around = [-1.0, 0.0, 1.0].map(|x| heights.map(|y| (x * dx, y * dy)));
    let beside = |place: &Place| {
        let inside = |middle: f64, (at, size): (f64, f64), half: f64| {
            let room = (size - half - 2.0).max(0.0);
            middle.clamp(at - room, at + room)
        };
        let (frame_x, frame_y) = (
            (frame.middle.0, frame.half.0),
            (frame.middle.1, frame.half.1),
        );
        let places = around.as_flattened().iter().map(|step| {
            let middle = (
                inside(place.0 + step.0, frame_x, half.0),
                inside(place.1 + step.1, frame_y, half.1),
            );
            let further = (step.1.abs() / dy - 1.0).max(0.0);
            (further, Area { middle, half })
        });
        places.collect::<Vec<(f64, Area)>>()
    };
    let cost = |(at, (further, area)): &(usize, (f64, Area))| {
        let hidden = area.holds(own, 2.0) + 4 * area.holds(others, 2.0);
        let unclear = area.holds(others, 2.0 * GAP);
        let names = taken.iter().filter(|name| name.meets(area)).count();
        let early = 1.0 - *at as f64 / own.len() as f64;
        // To stand on another name is worse than the furthest place.
        (1000 * names + 10 * hidden + unclear) as f64 + 300.0 * further + 4.0 * early
    };
    let all = own.iter().enumerate();
    let all = all.flat_map(|(at, place)| beside(place).into_iter().map(move |area| (at, area)));
    let best = all.min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.map_or(frame, |(_, (_, area))| area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_collide_move_apart_and_stay_inside() {
        let room = (0.0, 100.0);
        assert_eq!(apart(&[(20.0, 10.0), (70.0, 10.0)], room), [20.0, 70.0]);
        // Two on one place share the way; a third that is pushed joins them.
        assert_eq!(apart(&[(50.0, 10.0), (50.0, 10.0)], room), [45.0, 55.0]);
        assert_eq!(
            apart(&[(60.0, 10.0), (50.0, 10.0), (50.0, 10.0)], room),
            [63.333333333333336, 43.333333333333336, 53.333333333333336]
        );
        // The edges hold, and what is high takes more room.
        assert_eq!(apart(&[(0.0, 10.0), (1.0, 10.0)], room), [5.0, 15.0]);
        assert_eq!(apart(&[(99.0, 30.0), (60.0, 20.0)], room), [85.0, 60.0]);
        assert_eq!(apart(&[(99.0, 30.0), (80.0, 20.0)], room), [85.0, 60.0]);
    }

    #[test]
    fn a_name_stands_where_nothing_else_is() {
        let line = |y: f64| -> Vec<Place> { (0..=50).map(|i| (2.0 * f64::from(i), y)).collect() };
        let frame = Area {
            middle: (50.0, 50.0),
            half: (50.0, 50.0),
        };
        let name = |own: f64, others: &[Place], taken: &[Area]| {
            freest((20.0, 8.0), &line(own), others, taken, frame)
                .middle
                .1
        };
        // Below its line if another is above it, above if it is below; further along than a
        // name that stands there.
        assert!(name(50.0, &line(35.0), &[]) > 50.0);
        assert!(name(50.0, &line(65.0), &[]) < 50.0);
        let first = freest((20.0, 8.0), &line(50.0), &line(35.0), &[], frame);
        let second = freest((20.0, 8.0), &line(50.0), &line(35.0), &[first], frame);
        assert!(!first.meets(&second));
        // Also where a line is short and the name of another fills all that is near.
        let [short, wide] = [[(50.0, 50.0)], [(48.0, 50.0)]];
        let taken = freest((45.0, 8.0), &wide, &[], &[], frame);
        let moved = freest((45.0, 20.0), &short, &[], &[taken], frame);
        assert!(!taken.meets(&moved), "{taken:?} {moved:?}");
        // At the edge it is moved inside.
        assert!(name(99.0, &[], &[]) <= 90.0);
    }
}
