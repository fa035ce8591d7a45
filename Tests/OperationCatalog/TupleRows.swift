import Tapestry
import TestSupport

/// Index tuples, blocks of space, sequences by their lengths and spectra of frames.
extension OpCatalog {
    private static let pairsOfPlaces = Tensor([[2, 0], [0, -1], [1, 1]])

    static let indexTuples: [OpRow] = [
        OpRow(
            "gathered at tuples", [[.real([3, 2, 2])], [.real([3, 2])]],
            .arrays { a in
                let rest = Array(a[0].shape[2...])
                return ReferenceArray([3] + rest) { i in a[0][[[2, 0], [0, 1], [1, 1]][i[0]] + i[1...]] }
            }, integers: allIntegers + [.bool]
        ) { $0[0].gathered(at: pairsOfPlaces.to($0[0].device)) },
        OpRow(
            "gathered at tuples, in batches", [[.real([2, 3, 2])]],
            .arrays { a in ReferenceArray([2, 2]) { i in a[0][[i[0], [2, 0][i[0]], i[1]]] } }, integers: allIntegers
        ) { $0[0].gathered(at: Tensor([[2], [0]], device: $0[0].device), batchAxes: 1) },
        OpRow(
            "scattered at tuples", [[.real([3, 2, 2]), .real([3, 2])], [.real([3, 2]), .real([3])]],
            .arrays { a in
                ReferenceArray(a[0].shape) { i in
                    let row = [[2, 0], [0, 1], [1, 1]].firstIndex(of: Array(i[..<2]))
                    return row.map { a[1][[$0] + i[2...]] } ?? a[0][i]
                }
            }, integers: allIntegers
        ) { $0[0].scattered(at: pairsOfPlaces.to($0[0].device), source: $0[1]) },
        OpRow(
            "added at tuples", [[.real([3, 2]), .real([3, 2])]],
            .arrays { a in
                ReferenceArray([3, 2]) { i in
                    let arrived: [Double] = [1, 1, 0].enumerated().filter { $1 == i[0] }.map { a[1][[$0.offset, i[1]]] }
                    return a[0][i] + arrived.reduce(0, +)
                }
            }, integers: [.int64, .int32]
        ) { $0[0].scattered(at: Tensor([[1], [1], [0]], device: $0[0].device), source: $0[1], .sum) },
        OpRow(
            "reversedSequences", [[.real([2, 4])], [.real([2, 4, 3])]],
            .arrays { a in
                ReferenceArray(a[0].shape) { i in
                    let length = [3, 0][i[0]]
                    return a[0][[i[0], i[1] < length ? length - 1 - i[1] : i[1]] + i[2...]]
                }
            }, integers: allIntegers + [.bool]
        ) { $0[0].reversedSequences(lengths: Tensor([3, 0], device: $0[0].device), axis: 1) },
    ]

    static let blocks: [OpRow] = [
        OpRow(
            "depthToSpace", [[.real([2, 8, 2, 3])]],
            .arrays { a in
                ReferenceArray([2, 2, 4, 6]) { i in a[0][[i[0], ((i[2] % 2) * 2 + i[3] % 2) * 2 + i[1], i[2] / 2, i[3] / 2]] }
            }, integers: allIntegers
        ) { depthToSpace($0[0], blockSize: 2) },
        OpRow(
            "spaceToDepth", [[.real([2, 2, 4, 6])]],
            .arrays { a in
                ReferenceArray([2, 8, 2, 3]) { i in
                    a[0][[i[0], i[1] % 2, i[2] * 2 + i[1] / 4, i[3] * 2 + i[1] / 2 % 2]]
                }
            }, integers: allIntegers
        ) { spaceToDepth($0[0], blockSize: 2) },
        OpRow(
            "hardmax", [[.distinct([3, 4])], [.distinct([5])]],
            .arrays { a in a[0].mapped(along: -1) { row in row.map { $0 == row.max() ? 1 : 0 } } }, orders: 0
        ) { hardmax($0[0]) },
    ]

    static let shortTime: [OpRow] = [
        OpRow(
            "stft", [[.real([2, 11])]],
            .arrays { a in
                ReferenceArray([2, 3, 6, 2]) { i in
                    // Frames of 4 places every 2 of the signal with 2 mirrored places at both ends.
                    (0..<4).reduce(0.0) { (sum: Double, j: Int) -> Double in
                        let place = i[2] * 2 + j - 2
                        let inside = place < 0 ? -place : place > 10 ? 20 - place : place
                        let angle = -2 * Double.pi * Double(i[1] * j) / 4, window = [0, 0.5, 1, 0.5][j]
                        let wave: Double = i[3] == 0 ? cosine(angle) : cosine(angle - Double.pi / 2)
                        return sum + a[0][[i[0], inside]] * window * wave
                    }
                }
            }, types: [.float32], slack: 4
        ) { FFT.stft($0[0], fftLength: 4, hop: 2, window: hannWindow(4, dtype: .float64).to($0[0].device)).viewAsReal }
    ]

    private static func cosine(_ x: Double) -> Double { cos(Tensor(x, dtype: .float64)).item(Double.self) }
}
