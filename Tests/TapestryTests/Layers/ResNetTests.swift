import ConformanceSuite
import Foundation
import Tapestry
import TestSupport
import Testing

/// Residual networks against torchvision 0.29.
@Suite struct ResNetTests {
    /// FNV-1a of a text: of all names, so that they need not be listed.
    private func fingerprint(_ text: String) -> UInt64 {
        text.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    /// Numbers in -0.5 ..< 0.5 that Python makes likewise: a hash of place and tensor.
    private func noise(_ count: Int, _ tensor: Int) -> [Double] {
        (0..<count).map { i in
            var x = UInt32(truncatingIfNeeded: i &* 747_796_405 &+ tensor &* 2_891_336_453)
            x ^= x >> 16
            x = x &* 0x45d9f3b
            x ^= x >> 16
            return Double(x) / 4_294_967_296 - 0.5
        }
    }

    @Test func sizesAndNames() {
        let wanted: [(ResNet.Configuration, Int, UInt64)] = [
            (.resNet18(), 11_689_512, 5_082_946_798_290_180_873), (.resNet34(), 21_797_672, 142_810_144_383_371_697),
            (.resNet50(), 25_557_032, 10_969_858_793_435_911_627),
        ]
        for (configuration, count, names) in wanted {
            let model = ResNet(configuration)
            #expect(model.parameterCount() == count)
            #expect(fingerprint(model.torchvisionState.keys.sorted().joined(separator: ",")) == names)
        }
        // He et al., table 6: 20 layers have 0.27 million parameters.
        let small = ResNet(.cifar(blocksPerStage: 3))
        #expect((260_000..<280_000).contains(small.parameterCount()))
        #expect(small(Tensor(zeros: [2, 3, 32, 32])).shape == [2, 10])
    }

    /// The logits of torchvision's `ResNet(block, [1, 2, 1, 1], num_classes=5)` in evaluation mode.
    @Test(arguments: [false, true]) func logits(_ isBottleneck: Bool) throws {
        let model = ResNet(ResNet.Configuration(blocks: [1, 2, 1, 1], isBottleneck: isBottleneck, classes: 5))
        var state = model.torchvisionState
        for (k, name) in state.keys.sorted().enumerated() {
            let old = state[name]!, shape = old.shape
            if name.hasSuffix("num_batches_tracked") { continue }
            let scale =
                shape.count == 1 ? 0.2 : name.hasPrefix("fc") ? 0.1 : (12 / Double(shape.dropFirst().reduce(1, *))).squareRoot()
            let values = Tensor(noise(old.count, k), shape: shape, dtype: .float64)
            if name.hasSuffix("running_var") {
                state[name] = values + 1
            } else {
                state[name] = values * scale + (shape.count == 1 && name.hasSuffix("weight") ? 1 : 0)
            }
        }
        // As from a file of before there was a count of batches.
        for name in state.keys where name.hasSuffix("num_batches_tracked") { state[name] = nil }
        try model.loadTorchvisionState(state)
        model.eval()
        let x = Tensor(noise(2 * 3 * 40 * 36, 1000).map { $0 * 4 }, shape: [2, 3, 40, 36], dtype: .float32)
        let wanted: [Double] =
            isBottleneck
            ? [
                1.0073049068450928, 0.7190718054771423, -0.6612871289253235, -0.29403823614120483, -1.3676488399505615,
                0.9918757081031799, 0.9875795245170593, -0.6382042765617371, -0.27881261706352234, -1.4511138200759888,
            ]
            : [
                -1.027532935142517, 0.8155558705329895, 0.04738175868988037, 0.7571971416473389, 0.7557475566864014,
                -0.7384392023086548, 0.631676971912384, 0.034678563475608826, 0.6455867886543274, 0.9262041449546814,
            ]
        let wrong = mismatch(
            withoutGrad { model(x) }, Tensor(wanted, shape: [2, 5], dtype: .float32), Tolerance(relative: 1e-4, absolute: 1e-4))
        #expect(wrong == nil, "\(wrong ?? "")")
        // A name too few is refused, and nothing has changed.
        state["layer2.1.conv1.weight"] = nil
        #expect(throws: StateDictError.self) { try model.loadTorchvisionState(state) }
    }

    /// Every parameter gets its gradient.
    @Test func gradients() {
        let model = ResNet(ResNet.Configuration(blocks: [1, 1], isBottleneck: true, width: 4, classes: 3, stem: .small))
        crossEntropy(model(Tensor(normal: [4, 3, 8, 8])), Tensor([0, 1, 2, 0])).backward()
        #expect(model.namedParameters.allSatisfy { $0.parameter.grad != nil })
    }
}
