import Foundation
import Tapestry
import TestSupport

/// Convolution, pooling, resampling and normalisation per channel, against plain loops.
extension OpCatalog {
    /// Cross-correlation of `x [n, c, h, w]` with `w [o, c / groups, kh, kw]` by its definition.
    @Sendable private static func correlation(
        _ x: ReferenceArray, _ w: ReferenceArray, _ bias: ReferenceArray?, stride: [Int], padding: [Int], dilation: [Int],
        groups: Int
    ) -> ReferenceArray {
        let rank = w.shape.count - 2, outputs = w.shape[0], inputs = w.shape[1]
        let size = (0..<rank).map { (i: Int) -> Int in
            let reach = dilation[i] * (w.shape[i + 2] - 1) + 1
            let room = x.shape[i + 2] + 2 * padding[i] - reach
            return room / stride[i] + 1
        }
        return ReferenceArray([x.shape[0], outputs] + size) { index in
            let group = index[1] / (outputs / groups)
            var total = bias?.values[index[1]] ?? 0
            for tap in ReferenceArray.indices(Array(w.shape[1...])) {
                let place = (0..<rank).map { (i: Int) -> Int in
                    let start = index[i + 2] * stride[i] - padding[i]
                    return start + tap[i + 1] * dilation[i]
                }
                if (0..<rank).contains(where: { (i: Int) -> Bool in place[i] < 0 || place[i] >= x.shape[i + 2] }) { continue }
                let factor: Double = w[[index[1]] + tap], from: [Int] = [index[0], group * inputs + tap[0]]
                total += factor * x[from + place]
            }
            return total
        }
    }

    private static func convolution(
        _ name: String, _ x: [Int], _ w: [Int], bias: Bool, stride: [Int], padding: [Int], dilation: [Int], groups: Int,
        integers: [DType] = []
    ) -> OpRow {
        let operands: [Operand] = [.real(x), .real(w)] + (bias ? [.real([w[0]])] : [])
        return OpRow(
            name, [operands],
            .arrays {
                correlation(
                    $0[0], $0[1], $0.count > 2 ? $0[2] : nil, stride: stride, padding: padding, dilation: dilation, groups: groups
                )
            }, integers: integers, slack: 4,
            { a in
                let b = a.count > 2 ? a[2] : nil, s = SpatialSizes(stride), p = ConvolutionPadding.sizes(SpatialSizes(padding))
                let d = SpatialSizes(dilation)
                switch stride.count {
                case 1: return conv1d(a[0], a[1], b, stride: s, padding: p, dilation: d, groups: groups)
                case 2: return conv2d(a[0], a[1], b, stride: s, padding: p, dilation: d, groups: groups)
                default: return conv3d(a[0], a[1], b, stride: s, padding: p, dilation: d, groups: groups)
                }
            })
    }

    static let convolutions: [OpRow] = [
        convolution(
            "conv1d", [2, 3, 7], [4, 3, 3], bias: true, stride: [2], padding: [1], dilation: [1], groups: 1,
            integers: [.int64, .int32]),
        convolution(
            "conv2d", [2, 2, 5, 4], [3, 2, 3, 2], bias: true, stride: [1, 1], padding: [1, 0], dilation: [1, 1], groups: 1),
        convolution(
            "conv2d, strided and dilated", [1, 10, 7, 6], [9, 10, 2, 3], bias: false, stride: [2, 3], padding: [2, 1],
            dilation: [3, 1], groups: 1),
        convolution(
            "conv2d of few places", [1, 2, 3, 3], [1, 2, 2, 2], bias: true, stride: [1, 1], padding: [0, 0], dilation: [1, 1],
            groups: 1),
        convolution(
            "conv2d in groups", [2, 12, 4, 5], [10, 6, 3, 3], bias: true, stride: [2, 1], padding: [1, 1], dilation: [1, 1],
            groups: 2),
        convolution(
            "conv2d, depthwise", [2, 3, 5, 6], [3, 1, 3, 3], bias: true, stride: [1, 1], padding: [1, 1], dilation: [1, 1],
            groups: 3),
        convolution(
            "conv2d, depthwise, strided", [1, 2, 7, 9], [4, 1, 3, 2], bias: false, stride: [2, 3], padding: [1, 1],
            dilation: [1, 2],
            groups: 2),
        convolution(
            "conv2d, pointwise", [2, 5, 3, 4], [6, 5, 1, 1], bias: true, stride: [1, 1], padding: [0, 0], dilation: [1, 1],
            groups: 1),
        convolution(
            "conv2d over many panels", [3, 5, 9, 8], [17, 5, 3, 3], bias: true, stride: [1, 1], padding: [1, 1],
            dilation: [1, 1],
            groups: 1),
        convolution(
            "conv3d", [1, 2, 3, 4, 3], [2, 2, 2, 2, 2], bias: true, stride: [1, 2, 1], padding: [1, 0, 1], dilation: [1, 1, 1],
            groups: 1),
        convolution(
            "conv2d of no samples", [0, 2, 4, 4], [3, 2, 3, 3], bias: true, stride: [1, 1], padding: [0, 0], dilation: [1, 1],
            groups: 1),
        OpRow(
            "convTranspose2d", [[.real([1, 3, 3, 2]), .real([3, 2, 3, 2]), .real([2])]],
            .arrays { a in
                // Every input spreads its kernel.
                var out = ReferenceArray([1, 2, 7, 4], [Double](repeating: 0, count: 56))
                for i in ReferenceArray.indices(a[0].shape) {
                    for tap in ReferenceArray.indices(Array(a[1].shape[1...])) {
                        let h: Int = i[2] * 2 + tap[1], w: Int = i[3] * 2 + tap[2]
                        let value: Double = a[0][i], factor: Double = a[1][[i[1]] + tap]
                        if h < 7 && w < 4 { out.values[(tap[0] * 7 + h) * 4 + w] += value * factor }
                    }
                }
                for c in 0..<2 { for k in 0..<28 { out.values[c * 28 + k] += a[2].values[c] } }
                return out
            }, integers: [.int64], slack: 4, { convTranspose2d($0[0], $0[1], $0[2], stride: 2) }),
        OpRow(
            "convTranspose1d is the adjoint", [[.real([2, 4, 5]), .real([4, 3, 3])]],
            .golden("nn.functional.conv_transpose1d"), slack: 4,
            { convTranspose1d($0[0], $0[1], stride: 2, padding: 1, outputPadding: 1) }),
        OpRow(
            "unfold", [[.real([2, 2, 4, 3])]],
            .arrays { a in
                // 2 × 2 blocks, one place of padding in height: 5 × 2 of them.
                ReferenceArray([2, 8, 10]) { i in
                    let c: Int = i[1] / 4, h: Int = i[2] / 2 + i[1] / 2 % 2 - 1, w: Int = i[2] % 2 + i[1] % 2
                    return h < 0 || h >= 4 ? 0 : a[0][[i[0], c, h, w]]
                }
            }, integers: [.int64, .int32], { unfold($0[0], kernelSize: 2, padding: [1, 0]) }),
        OpRow(
            "fold", [[.real([1, 8, 4])]],
            .arrays { a in
                var out = [Double](repeating: 0, count: 18)
                for i in ReferenceArray.indices([8, 4]) {
                    let h: Int = i[1] / 2 + i[0] / 2 % 2, w: Int = i[1] % 2 + i[0] % 2
                    let channel: Int = i[0] / 4
                    out[channel * 9 + h * 3 + w] += a[0][[0] + i]
                }
                return ReferenceArray([1, 2, 3, 3], out)
            }, integers: [.int64], { fold($0[0], outputSize: 3, kernelSize: 2) }),
    ]

    /// The windows of an axis with the places inside.
    @Sendable private static func window(_ o: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ size: Int) -> [Int] {
        (0..<kernel).map { o * stride - padding + $0 }.filter { 0 <= $0 && $0 < size }
    }

    static let pooling: [OpRow] = [
        OpRow(
            "maxPool2d", [[.distinct([2, 2, 5, 6])], [.distinct([1, 1, 9, 37])], [.distinct([3, 5, 5])]],
            .arrays { a in
                let x = a[0], lead = Array(x.shape.dropLast(2)), h = x.shape[lead.count], w = x.shape[lead.count + 1]
                return ReferenceArray(lead + [(h - 1) / 2 + 1, (w - 1) / 2 + 1]) { i in
                    let rows = window(i[lead.count], 3, 2, 1, h), columns = window(i[lead.count + 1], 3, 2, 1, w)
                    let front = Array(i[..<lead.count])
                    let all = rows.flatMap { (r: Int) -> [Double] in columns.map { (c: Int) -> Double in x[front + [r, c]] } }
                    return all.max()!
                }
            }, integers: [.int64, .int32, .uint8], { maxPool2d($0[0], kernelSize: 3, stride: 2, padding: 1) }),
        OpRow(
            "maxPool1d, dilated", [[.distinct([2, 2, 40])]],
            .arrays { a in
                ReferenceArray([2, 2, 36]) { (i: [Int]) -> Double in
                    (0..<3).map { (k: Int) -> Double in a[0][[i[0], i[1], i[2] + 2 * k]] }.max()!
                }
            }, { maxPool1d($0[0], kernelSize: 3, stride: 1, dilation: 2) }),
        OpRow(
            "avgPool2d", [[.real([2, 2, 5, 6])], [.real([1, 1, 4, 40])]],
            .arrays { a in
                let x = a[0], h = x.shape[2], w = x.shape[3]
                return ReferenceArray([x.shape[0], x.shape[1], (h - 1) / 2 + 1, (w - 1) / 2 + 1]) { i in
                    let rows = window(i[2], 3, 2, 1, h), columns = window(i[3], 3, 2, 1, w)
                    let all = rows.flatMap { (r: Int) -> [Double] in columns.map { (c: Int) -> Double in x[[i[0], i[1], r, c]] } }
                    return all.reduce(0, +) / Double(all.count)
                }
            }, { avgPool2d($0[0], kernelSize: 3, stride: 2, padding: 1, countIncludePad: false) }),
        OpRow(
            "adaptiveAvgPool1d", [[.real([2, 3, 7])]],
            .arrays { a in
                ReferenceArray([2, 3, 3]) { i in
                    let low: Int = i[2] * 7 / 3, high: Int = ((i[2] + 1) * 7 + 2) / 3
                    let values = (low..<high).map { (k: Int) -> Double in a[0][[i[0], i[1], k]] }
                    return values.reduce(0, +) / Double(values.count)
                }
            }, { adaptiveAvgPool1d($0[0], outputSize: 3) }),
        OpRow(
            "adaptiveMaxPool2d", [[.distinct([1, 2, 5, 4])]],
            .arrays { a in
                ReferenceArray([1, 2, 2, 4]) { i in
                    let low: Int = i[2] * 5 / 2, high: Int = ((i[2] + 1) * 5 + 1) / 2
                    return (low..<high).map { (k: Int) -> Double in a[0][[0, i[1], k, i[3]]] }.max()!
                }
            }, integers: [.int64], { adaptiveMaxPool2d($0[0], outputSize: [2, nil]) }),
        OpRow(
            "lpPool1d", [[.real([2, 2, 6], 0.5...2)]],
            .arrays { a in
                ReferenceArray([2, 2, 3]) { i in
                    let cubes = (0..<2).map { (k: Int) -> Double in Foundation.pow(a[0][[i[0], i[1], 2 * i[2] + k]], 3) }
                    return Foundation.pow(cubes[0] + cubes[1], 1 / 3.0)
                }
            }, slack: 2, { lpPool1d($0[0], norm: 3, kernelSize: 2) }),
        OpRow(
            "maxUnpool", [[.real([1, 2, 2])]],
            .arrays { a in
                ReferenceArray([1, 2, 5]) { i in
                    i[2] == 1 ? a[0][[0, i[1], 0]] : i[2] == 4 ? a[0][[0, i[1], 1]] : 0
                }
            }, integers: [.int64],
            { maxUnpool($0[0], indices: Tensor([[[1, 4], [1, 4]]], device: $0[0].device), outputSize: [5]) }),
    ]

    /// Per channel, over all other axes.
    @Sendable private static func normalized(_ x: ReferenceArray, _ set: @escaping ([Int]) -> [Int]) -> ReferenceArray {
        var members: [[Int]: [Double]] = [:]
        for index in ReferenceArray.indices(x.shape) { members[set(index), default: []].append(x[index]) }
        let statistics = members.mapValues { v -> (Double, Double) in
            let mean = v.reduce(0, +) / Double(v.count)
            let squares = v.map { (x: Double) -> Double in (x - mean) * (x - mean) }
            return (mean, squares.reduce(0, +) / Double(v.count))
        }
        return ReferenceArray(x.shape) { i in
            let (mean, variance) = statistics[set(i)]!
            return (x[i] - mean) / (variance + 1e-5).squareRoot()
        }
    }

    @Sendable private static func affine(_ x: ReferenceArray, _ w: ReferenceArray, _ b: ReferenceArray) -> ReferenceArray {
        ReferenceArray(x.shape) { (i: [Int]) -> Double in x[i] * w.values[i[1]] + b.values[i[1]] }
    }

    static let channelNorms: [OpRow] = [
        OpRow(
            "batchNorm", [[2, 3, 4], [5, 3], [2, 2, 3, 7], [2, 70]].map { [.real($0), .real([$0[1]]), .real([$0[1]])] },
            .arrays { affine(normalized($0[0]) { [$0[1]] }, $0[1], $0[2]) }, slack: 4,
            { batchNormWithStatistics($0[0], weight: $0[1], bias: $0[2]).output }),
        OpRow(
            "batchNorm in evaluation", [[2, 3, 4], [2, 2, 20]].map { [.real($0), .real([$0[1]]), .real([$0[1]])] },
            .arrays { a in
                affine(ReferenceArray(a[0].shape) { (i: [Int]) -> Double in (a[0][i] - 0.5) / 2.00001.squareRoot() }, a[1], a[2])
            }, slack: 4,
            { a in
                let n = a[0].shape[1], type = a[0].dtype, device = a[0].device
                return batchNorm(
                    a[0], mean: Tensor(repeating: 0.5, shape: [n], dtype: type, device: device),
                    variance: Tensor(repeating: 2.0, shape: [n], dtype: type, device: device),
                    weight: a[1], bias: a[2])
            }),
        OpRow(
            "groupNorm", [[2, 4, 3], [1, 6, 2, 9], [2, 4]].map { [.real($0), .real([$0[1]]), .real([$0[1]])] },
            .arrays { a in
                let size = a[0].shape[1] / 2
                return affine(normalized(a[0]) { [$0[0], $0[1] / size] }, a[1], a[2])
            }, slack: 4, { groupNorm($0[0], groups: 2, weight: $0[1], bias: $0[2]) }),
        OpRow(
            "instanceNorm", [[2, 3, 4], [1, 2, 3, 6]].map { [.real($0), .real([$0[1]]), .real([$0[1]])] },
            .arrays { affine(normalized($0[0]) { [$0[0], $0[1]] }, $0[1], $0[2]) }, slack: 4,
            { instanceNorm($0[0], weight: $0[1], bias: $0[2]) }),
        OpRow(
            "localResponseNorm", [[.real([2, 5, 3])]],
            .arrays { a in
                ReferenceArray(a[0].shape) { i in
                    let near = (0..<5).filter { (c: Int) -> Bool in abs(c - i[1]) <= 1 }
                    let squares = near.map { (c: Int) -> Double in Foundation.pow(a[0][[i[0], c, i[2]]], 2) }
                    let mean: Double = squares.reduce(0, +) / 3
                    return a[0][i] / Foundation.pow(2 + 0.3 * mean, 0.75)
                }
            }, slack: 2, { localResponseNorm($0[0], size: 3, alpha: 0.3, k: 2) }),
        OpRow(
            "layerNorm over two axes", [[.real([2, 3, 4]), .real([3, 4]), .real([3, 4])]],
            .arrays { a in
                let h = normalized(a[0]) { [$0[0]] }
                return ReferenceArray(h.shape) { (i: [Int]) -> Double in
                    let place = Array(i[1...])
                    return h[i] * a[1][place] + a[2][place]
                }
            }, slack: 4, { layerNorm($0[0], normalizedShape: [3, 4], weight: $0[1], bias: $0[2]) }),
    ]

    private static func pad(_ name: String, _ mode: PaddingMode, _ source: @escaping @Sendable (Int) -> Int?) -> OpRow {
        OpRow(
            name, [[.real([2, 4])], [.real([3, 2, 4])]],
            .arrays { a in
                ReferenceArray(Array(a[0].shape.dropLast()) + [8]) { (i: [Int]) -> Double in
                    guard let from = source(i.last! - 2) else { return 7 }
                    return a[0][Array(i.dropLast()) + [from]]
                }
            }, integers: [.int64, .uint8], { $0[0].padded([2, 2], mode: mode) })
    }

    static let resampling: [OpRow] = [
        pad("padded", .constant(7)) { 0..<4 ~= $0 ? $0 : nil },
        pad("padded, reflect", .reflect) { $0 < 0 ? -$0 : $0 > 3 ? 6 - $0 : $0 },
        pad("padded, replicate", .replicate) { min(max($0, 0), 3) },
        pad("padded, circular", .circular) { ($0 + 4) % 4 },
        OpRow(
            "padded by less than nothing", [[.real([3, 5])]],
            .arrays { a in
                ReferenceArray([2, 5]) { (i: [Int]) -> Double in i[1] == 4 ? 0 : a[0][[i[0] + 1, i[1] + 1]] }
            },
            integers: [.int64], { $0[0].padded([-1, 1, -1, 0]) }),
        OpRow(
            "interpolate, nearest", [[.real([1, 2, 3])]],
            .arrays { a in ReferenceArray([1, 2, 7]) { (i: [Int]) -> Double in a[0][[0, i[1], i[2] * 3 / 7]] } },
            { interpolate($0[0], size: 7) }),
        OpRow(
            "interpolate, linear", [[.real([1, 2, 5])]],
            .arrays { a in
                ReferenceArray([1, 2, 9]) { i in
                    let low: Int = i[2] / 2, part: Double = Double(i[2] % 2) / 2
                    let left: Double = a[0][[0, i[1], low]], right: Double = a[0][[0, i[1], min(low + 1, 4)]]
                    return left + (right - left) * part
                }
            }, slack: 2, { interpolate($0[0], size: 9, mode: .linear, alignCorners: true) }),
        OpRow(
            "interpolate, bilinear", [[.real([1, 1, 3, 20])]], .golden("nn.functional.interpolate"),
            { interpolate($0[0], scaleFactor: [2, 1.5], mode: .bilinear) }),
        OpRow(
            "interpolate, bicubic", [[.real([1, 1, 4, 5])]], .golden("nn.functional.interpolate"),
            { interpolate($0[0], size: [3, 7], mode: .bicubic, antialias: true) }),
        OpRow(
            "gridSample", [[.real([1, 2, 3, 4]), .real([1, 2, 2, 2], 0.05...0.2)]], .golden("nn.functional.grid_sample"),
            { gridSample($0[0], $0[1], alignCorners: true) }),
        OpRow(
            "pixelShuffle", [[.real([2, 4, 2, 3])]],
            .arrays { a in
                ReferenceArray([2, 1, 4, 6]) { (i: [Int]) -> Double in
                    let channel: Int = i[2] % 2 * 2 + i[3] % 2
                    return a[0][[i[0], channel, i[2] / 2, i[3] / 2]]
                }
            }, integers: [.int64], { pixelShuffle($0[0], factor: 2) }),
        OpRow(
            "pixelUnshuffle", [[.real([2, 1, 4, 6])]],
            .arrays { a in
                ReferenceArray([2, 4, 2, 3]) { (i: [Int]) -> Double in
                    let h: Int = i[2] * 2 + i[1] / 2, w: Int = i[3] * 2 + i[1] % 2
                    return a[0][[i[0], 0, h, w]]
                }
            }, integers: [.int64], { pixelUnshuffle($0[0], factor: 2) }),
        OpRow(
            "channelShuffle", [[.real([1, 6, 2])]],
            .arrays { a in
                ReferenceArray([1, 6, 2]) { (i: [Int]) -> Double in
                    let channel: Int = i[1] % 2 * 3 + i[1] / 2
                    return a[0][[0, channel, i[2]]]
                }
            }, integers: [.int64],
            { channelShuffle($0[0], groups: 2) }),
    ]
}
