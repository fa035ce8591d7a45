import CoreTensor
import Data
import Foundation
import NN
import Optimizers

extension Trainer {
    /// The checkpoint of a name in the folder: "last", or "best".
    public func checkpointPath(_ name: String) -> String? { options.folder.map { "\($0)/\(name).safetensors" } }

    /// The run as it is after a step, with everything needed to go on.
    public func checkpoint() throws -> Checkpoint {
        state.scaler = scaler.isEnabled ? scaler.state : nil
        state.plateau = plateau?.state
        state.averageCount = average?.count ?? 0
        var checkpoint = Checkpoint(model: model, optimizer: optimizer, scheduler: scheduler, generator: generator)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        checkpoint.facts["trainer"] = String(decoding: try encoder.encode(state), as: UTF8.self)
        if let average, average.count > 0 {
            for (name, tensor) in average.stateDict { checkpoint.extra["average.\(name)"] = tensor }
        }
        return checkpoint
    }

    /// Goes on from a checkpoint. Throws `CheckpointError` if it is not one of a trainer or not for this model; then nothing has changed.
    public func restore(_ checkpoint: Checkpoint) throws {
        guard let json = checkpoint.facts["trainer"] else {
            throw TrainerCheckpointError("the checkpoint is not one of a trainer")
        }
        guard let found = try? JSONDecoder().decode(TrainerState.self, from: Data(json.utf8)), found.step >= 0, found.epoch >= 0,
            found.loader.epoch >= 0, found.loader.batch >= 0
        else { throw TrainerCheckpointError("the trainer's state in the checkpoint cannot be read") }
        var averages: [String: Tensor] = [:]
        for (name, tensor) in checkpoint.extra where name.hasPrefix("average.") { averages[String(name.dropFirst(8))] = tensor }
        if average != nil && found.averageCount > 0 && averages.isEmpty {
            throw TrainerCheckpointError("the checkpoint has no averaged weights")
        }
        if scheduler != nil && checkpoint.scheduleStep == nil { throw TrainerCheckpointError("the checkpoint has no schedule") }
        let before = model.stateDict
        try checkpoint.restore(model: model, optimizer: optimizer, scheduler: scheduler, generator: generator)
        if let average, found.averageCount > 0 {
            do { try average.loadState(averages, count: found.averageCount) } catch {
                try model.loadStateDict(before)
                throw error
            }
        }
        if let scale = found.scaler, scaler.isEnabled { scaler.state = scale }
        if let saved = found.plateau, let plateau { plateau.state = saved }
        state = found
        (pending, inputs) = (PendingStep(), [])
    }

    /// Puts the weights of the best validation into the model; the averaged ones if there are any. Throws if there was none.
    public func loadBest() throws {
        guard let path = checkpointPath("best") else { throw TrainerCheckpointError("there is no folder with checkpoints") }
        let checkpoint = try Checkpoint(path)
        let averages = checkpoint.extra.filter { $0.key.hasPrefix("average.") }
        try model.loadStateDict(
            averages.isEmpty
                ? checkpoint.model : Dictionary(uniqueKeysWithValues: averages.map { (String($0.key.dropFirst(8)), $0.value) }))
    }

    func prepareFolder() throws {
        guard let folder = options.folder else { return }
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw TrainerCheckpointError("\(folder): cannot make the folder for checkpoints")
        }
        AtomicFile.removeLeftovers(in: folder)
    }

    func resume() throws {
        guard let path = checkpointPath("last") else { throw TrainerCheckpointError("there is no folder to resume from") }
        if FileManager.default.fileExists(atPath: path) { try restore(try Checkpoint(path)) }
    }

    /// Writes a checkpoint. Training goes on if that fails: the last good one is still there.
    func save(as name: String = "last") {
        guard let path = checkpointPath(name) else { return }
        do {
            try checkpoint().write(path)
            notify(.saved(path: path, step: state.step))
        } catch {
            notify(.saveFailed(path: path, step: state.step, reason: "\(error)"))
        }
    }

    func saveAtTheEnd() throws {
        guard let path = checkpointPath("last") else { return }
        try checkpoint().write(path)
        notify(.saved(path: path, step: state.step))
    }
}

/// Why a run cannot be resumed from a checkpoint.
public struct TrainerCheckpointError: Error, CustomStringConvertible, Equatable {
    /// What does not fit, as a sentence.
    public let description: String
    init(_ description: String) { self.description = description }
}
