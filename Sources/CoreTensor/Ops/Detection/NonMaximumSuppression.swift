/// The boxes that no better one covers: goes through `boxes [n, 4]` (x₁, y₁, x₂, y₂ with x₁ ≤ x₂ and y₁ ≤ y₂, or y first) by falling
/// `scores [n]` and keeps each whose intersection over union with every box kept so far is at most `threshold`. Gives their positions,
/// `int64 [kept]`, the best first; among equal scores the first comes first.
///
/// Traps on shapes that do not fit. Not differentiable.
public func nonMaximumSuppression(_ boxes: Tensor, _ scores: Tensor, threshold: Double) -> Tensor {
    if boxes.rank != 2 || boxes.shape[1] != 4 || scores.shape != [boxes.shape[0]] {
        fail("nonMaximumSuppression", "boxes of shape \(boxes.shape) and scores of shape \(scores.shape); need [n, 4] and [n]")
    }
    let n = boxes.shape[0], corners = boxes.detached().scalars(Double.self), values = scores.detached().scalars(Double.self)
    let order = (0..<n).sorted { values[$0] == values[$1] ? $0 < $1 : values[$0] > values[$1] }
    func side(_ box: Int, _ axis: Int) -> Double { corners[4 * box + axis + 2] - corners[4 * box + axis] }
    func overlap(_ a: Int, _ b: Int) -> Double {
        let shared = (0..<2).reduce(1.0) { product, axis in
            let low = Swift.max(corners[4 * a + axis], corners[4 * b + axis])
            let high = Swift.min(corners[4 * a + axis + 2], corners[4 * b + axis + 2])
            return product * Swift.max(high - low, 0)
        }
        let union = side(a, 0) * side(a, 1) + side(b, 0) * side(b, 1) - shared
        return union > 0 ? shared / union : 0
    }
    var kept: [Int] = []
    for box in order where kept.allSatisfy({ overlap(box, $0) <= threshold }) { kept.append(box) }
    return Tensor(kept, shape: [kept.count], device: boxes.device)
}
