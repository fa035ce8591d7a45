import Tapestry
import TestSupport

/// Deformable convolution and regions of interest, against plain loops.
extension OpCatalog {
    /// `x [n, c, h, w]` between places, 0 outside.
    @Sendable private static func bilinear(_ x: ReferenceArray, _ n: Int, _ c: Int, _ row: Double, _ column: Double) -> Double {
        let top = Int(row.rounded(.down)), left = Int(column.rounded(.down))
        var total = 0.0
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if !(0..<x.shape[2]).contains(top + i) || !(0..<x.shape[3]).contains(left + j) { continue }
            let down = row - Double(top), right = column - Double(left)
            total += (i == 0 ? 1 - down : down) * (j == 0 ? 1 - right : right) * x[[n, c, top + i, left + j]]
        }
        return total
    }

    /// Two groups of offsets, two groups of channels, padding 1, stride 2 down and 1 across.
    @Sendable private static func deformed(_ a: [ReferenceArray]) -> ReferenceArray {
        let (x, w, bias, offset, mask) = (a[0], a[1], a[2], a[3], a[4])
        return ReferenceArray([x.shape[0], w.shape[0]] + offset.shape[2...]) { i in
            var total = bias[[i[1]]]
            for tap in ReferenceArray.indices([2, 2, 2]) {
                let channel = i[1] / (w.shape[0] / 2) * 2 + tap[0], set = channel / 2, place = tap[1] * 2 + tap[2]
                func shift(_ axis: Int) -> Double { offset[[i[0], (set * 4 + place) * 2 + axis, i[2], i[3]]] }
                let row = Double(i[2] * 2 - 1 + tap[1]) + shift(0), column = Double(i[3] - 1 + tap[2]) + shift(1)
                let seen = bilinear(x, i[0], channel, row, column) * mask[[i[0], set * 4 + place, i[2], i[3]]]
                total += seen * w[[i[1], tap[0], tap[1], tap[2]]]
            }
            return total
        }
    }

    static let deformable: [OpRow] = [
        OpRow(
            "deformConv2d",
            [[.real([1, 4, 3, 3]), .real([2, 2, 2, 2]), .real([2]), .real([1, 16, 2, 4], 0.2...0.8), .real([1, 8, 2, 4])]],
            .arrays(deformed), types: [.float32], slack: 4
        ) {
            deformConv2d($0[0], $0[1], $0[2], offset: $0[3], mask: $0[4], stride: [2, 1], padding: 1, groups: 2)
        }
    ]

    /// Two samples per place and axis in a box from (0.6, 1.2) to (3.4, 4).
    @Sendable private static func region(_ x: ReferenceArray, _ combine: ([Double]) -> Double) -> ReferenceArray {
        ReferenceArray([1, x.shape[1], 2, 2]) { i in
            let samples = ReferenceArray.indices([2, 2]).map { s -> Double in
                let row = 0.7 + 2.8 / 2 * (Double(i[2]) + (Double(s[0]) + 0.5) / 2)
                let column = 0.1 + 2.8 / 2 * (Double(i[3]) + (Double(s[1]) + 0.5) / 2)
                return bilinear(x, 1, i[1], row, column)
            }
            return combine(samples)
        }
    }

    static let detection: [OpRow] = [
        OpRow(
            "roiAlign", [[.real([2, 2, 6, 6])]], .arrays { a in region(a[0]) { $0.reduce(0, +) / 4 } }, types: [.float32],
            slack: 4
        ) {
            roiAlign(
                $0[0], boxes: Tensor([[0.6, 1.2, 3.4, 4]], dtype: .float64, device: $0[0].device),
                batchIndex: Tensor([1], device: $0[0].device), outputSize: 2,
                samplingRatio: 2,
                aligned: true)
        }
    ]
}
