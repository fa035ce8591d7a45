import CoreTensor
import NN

/// How a 16-bit parameter is rounded after its update in float32. Rounded to nearest, an update of less than half a step between neighbours
/// is lost, step after step; the other two do not lose it.
public enum ParameterRounding: Sendable {
    /// To nearest, ties to even.
    case nearest
    /// Up or down by chance, so that the expectation is exact (Gupta et al., 2015, arXiv:1502.02551). Draws from
    /// ``RandomGenerator/default``: seeded, the same for any number of threads, and continued by a checkpoint.
    case stochastic
    /// To nearest; what that cut off is kept, in 16 bits per element, and added before the next update: Kahan's summation
    /// (Zamirai et al., 2020, arXiv:2010.06192). It is the state `compensation`, saved with the others. A parameter set from outside keeps
    /// the compensation of its old value, which is less than a step.
    case compensated
}

extension Optimizer {
    /// Runs `body` with the rounding of a step of `parameter`, which has 16 bits.
    final func withRounding(
        of parameter: Parameter, _ state: inout [String: Tensor], _ body: (NarrowRounding, inout [String: Tensor]) -> Void
    ) {
        switch parameterRounding {
        case .nearest: body(.nearest, &state)
        case .stochastic:
            let start = RandomGenerator.default.reserveForRounding(parameter.count)
            body(.stochastic(seed: start.seed, offset: start.position), &state)
        case .compensated:
            var rest =
                state.removeValue(forKey: "compensation")
                ?? Tensor(zeros: parameter.shape, dtype: parameter.dtype, device: parameter.device)
            rest.withMutableRaw { body(.compensated($0), &state) }
            state["compensation"] = rest
        }
    }

    /// The update of a 16-bit parameter, in one pass where the rule has one, otherwise on a copy in float32.
    final func updateNarrow(
        _ parameter: Parameter, _ gradient: Tensor, _ group: Group, _ state: inout [String: Tensor]
    ) {
        withRounding(of: parameter, &state) { rounding, state in
            if sweepsNarrowParameters {
                let isReady = gradient.dtype.byteCount <= 4 && gradient.dtype.isFloatingPoint
                stepRounding = rounding
                update(parameter, (isReady ? gradient.detached() : gradient.detached().to(.float32)).contiguous(), group, &state)
                stepRounding = .nearest
                return
            }
            parameter.update { p in
                let wide = Parameter(Tensor(raw: p.backend.widened(p, rounding)))
                update(wide, gradient.detached().to(.float32).contiguous(), group, &state)
                p.backend.narrow(wide.value.detached().contiguous().raw, to: p, rounding)
            }
        }
    }

    /// One pass of `rule` over a parameter and its states.
    @inline(__always)
    final func run(
        _ rule: StepRule, _ p: RawTensor, _ g: RawTensor, _ a: RawTensor?, _ b: RawTensor? = nil, _ c: RawTensor? = nil
    ) {
        if p.dtype.byteCount == 2 {
            p.backend.narrowStep(rule, p, g, a, b, c, stepRounding)
        } else {
            rule.run(on: p.backend, p, g, a, b, c)
        }
    }

    /// One sweep of `rule` over a parameter and the states named, which start as zeros.
    final func sweep(
        _ rule: SweepKernel, _ parameter: Parameter, _ gradient: Tensor, _ state: inout [String: Tensor], _ first: String,
        _ second: String? = nil, _ numbers: SweepNumbers
    ) {
        parameter.update { p in
            withState(&state, first, like: p) { (a: RawTensor, state: inout [String: Tensor]) in
                withState(&state, second, like: p) { b, _ in run(.sweep(rule, numbers), p, gradient.raw, a, b) }
            }
        }
    }
}

extension DType {
    /// The type of the states of a parameter of this type.
    var ofStates: DType { byteCount == 2 ? .float32 : self }
}
