import CoreTensor
import Foundation
import NN
import Optimizers

/// Why a checkpoint does not fit.
public struct CheckpointError: Error, CustomStringConvertible, Equatable {
    /// What does not fit, as a sentence.
    public let description: String
    init(_ description: String) { self.description = description }
}

/// Everything needed to continue training bit for bit, in one safetensors file: parameters and buffers, optimizer state, the step of
/// the schedule, the random stream, the position in the data, and facts of the caller's own.
public struct Checkpoint {
    /// The model's ``Module/stateDict``: parameters and buffers by name.
    public var model: [String: Tensor]
    /// Moments, step count and learning rates; nil if none was saved.
    public var optimizer: Optimizer.State?
    /// The ``LearningRateScheduler/step`` in force; nil if there was no schedule.
    public var scheduleStep: Int?
    /// Where the random stream stood.
    public var random: RandomGenerator.State?
    /// Batches handed out, as ``TokenWindows/position`` counts them; nil if none was saved. The caller puts it back.
    public var dataPosition: Int?
    /// Facts of the caller's: configuration, vocabulary, best loss …
    public var facts: [String: String]
    /// Tensors of the caller's: averaged weights …
    public var extra: [String: Tensor] = [:]

    /// The state of a training run as it is.
    public init(
        model: Module, optimizer: Optimizer? = nil, scheduler: LearningRateScheduler? = nil,
        generator: RandomGenerator = .default, dataPosition: Int? = nil, facts: [String: String] = [:]
    ) {
        self.model = model.stateDict
        self.optimizer = optimizer?.state
        scheduleStep = scheduler?.step
        random = generator.state
        self.dataPosition = dataPosition
        self.facts = facts
    }

    private struct Header: Codable {
        var version = 1
        var stepCount: Int?
        /// Bit patterns, so that they come back exactly.
        var learningRates: [UInt64]?
        var momenta: [UInt64?]?
        var scheduleStep: Int?
        var random: RandomGenerator.State?
        var dataPosition: Int?
        var facts: [String: String]
    }

    /// Writes the checkpoint; an earlier file at the path stays until this one is complete.
    public func write(_ path: String) throws {
        var tensors: [String: Tensor] = [:]
        for (name, tensor) in model { tensors["model.\(name)"] = tensor }
        for (name, tensor) in optimizer?.tensors ?? [:] { tensors["optimizer.\(name)"] = tensor }
        for (name, tensor) in extra { tensors["extra.\(name)"] = tensor }
        let header = Header(
            stepCount: optimizer?.stepCount, learningRates: optimizer?.learningRates.map(\.bitPattern),
            momenta: optimizer?.momenta.map { $0?.bitPattern }, scheduleStep: scheduleStep, random: random,
            dataPosition: dataPosition, facts: facts)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys  // the same state gives the same bytes
        let json = String(decoding: try encoder.encode(header), as: UTF8.self)
        try saveSafetensors(tensors, to: path, metadata: ["tapestry.checkpoint": json])
    }

    /// Reads a checkpoint.
    public init(_ path: String) throws {
        let file = try SafetensorsFile(path)
        guard let json = file.metadata["tapestry.checkpoint"] else {
            throw CheckpointError("\(path) is a safetensors file but no checkpoint")
        }
        guard let header = try? JSONDecoder().decode(Header.self, from: Data(json.utf8)) else {
            throw CheckpointError("\(path): the checkpoint's header cannot be read")
        }
        if header.version != 1 {
            throw CheckpointError("\(path): version \(header.version) of the checkpoint format is not known here")
        }
        model = [:]
        var state: [String: Tensor] = [:]
        for name in file.names {
            if name.hasPrefix("model.") {
                model[String(name.dropFirst(6))] = try file.tensor(name)
            } else if name.hasPrefix("optimizer.") {
                state[String(name.dropFirst(10))] = try file.tensor(name)
            } else if name.hasPrefix("extra.") {
                extra[String(name.dropFirst(6))] = try file.tensor(name)
            } else {
                throw CheckpointError("\(path): \(name) is no part of a checkpoint")
            }
        }
        if let stepCount = header.stepCount, let rates = header.learningRates {
            optimizer = Optimizer.State(
                stepCount: stepCount, learningRates: rates.map(Double.init(bitPattern:)),
                momenta: (header.momenta ?? []).map { $0.map(Double.init(bitPattern:)) }, tensors: state)
        }
        scheduleStep = header.scheduleStep
        random = header.random
        dataPosition = header.dataPosition
        facts = header.facts
    }

    /// Puts the state into a model and what trains it. Nothing changes unless model and optimizer fit.
    public func restore(
        model: Module, optimizer: Optimizer? = nil, scheduler: LearningRateScheduler? = nil,
        generator: RandomGenerator = .default
    ) throws {
        let before = model.stateDict
        try model.loadStateDict(self.model)
        if let optimizer {
            guard let state = self.optimizer else { throw CheckpointError("the checkpoint has no optimizer state") }
            do { try optimizer.loadState(state) } catch {
                try model.loadStateDict(before)
                throw error
            }
        }
        if let scheduler, let scheduleStep { scheduler.step = scheduleStep }
        if let random { generator.state = random }
    }
}
