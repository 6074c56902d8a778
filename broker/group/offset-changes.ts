/**
 * How committed offsets change: committed, deleted, expired. Each change is appended first and in memory then; the caller
 * answers when it is acknowledged.
 */
import { type ErrorName, ProtocolError } from '../../protocol/errors.ts'
import type { Logger } from '../logger.ts'
import type { GroupCoordinator, GroupEntry } from './coordinator.ts'
import { type OffsetToCommit, offsetRecord, offsetTombstone } from './offsets.ts'
import type { OffsetsClient } from './step.ts'

/** Records of one batch of tombstones: far below any `max.message.bytes`. */
const TOMBSTONES_AT_A_TIME = 500

/** Commits offsets that were checked one by one. @throws ProtocolError for what concerns all of them */
export function commitOffsets(
  coordinator: GroupCoordinator,
  entry: GroupEntry,
  client: OffsetsClient,
  commits: readonly OffsetToCommit[],
): void {
  const refused: ErrorName | null = entry.group.checkCommit(client, coordinator.nowMs(), commits)
  if (refused !== null) throw new ProtocolError(refused)
  if (commits.length === 0) return
  coordinator.append(
    entry,
    commits.map(commit => offsetRecord(entry.groupId, commit)),
  )
  for (const { topic, partition, ...committed } of commits) {
    entry.offsets.set(topic, partition, committed)
  }
  coordinator.meter.commits += commits.length
}

/** Forgets offsets, in the log too. @throws ProtocolError for why not */
export function deleteOffsets(
  coordinator: GroupCoordinator,
  entry: GroupEntry,
  gone: readonly (readonly [topic: string, partition: number])[],
): void {
  for (let from = 0; from < gone.length; from += TOMBSTONES_AT_A_TIME) {
    const part = gone.slice(from, from + TOMBSTONES_AT_A_TIME)
    const records = part.map(([topic, index]) => offsetTombstone(entry.groupId, topic, index))
    coordinator.append(entry, records)
    for (const [topic, index] of part) entry.offsets.delete(topic, index)
  }
}

/** Deletes a group without members and all that it has kept. @throws ProtocolError for why not */
export function deleteGroup(coordinator: GroupCoordinator, entry: GroupEntry): void {
  const all = [...entry.offsets.topics()].flatMap(([topic, partitions]) =>
    [...partitions.keys()].map((partition): [string, number] => [topic, partition]),
  )
  deleteOffsets(coordinator, entry, all)
  if (entry.group.protocolType !== '') coordinator.append(entry, entry.group.tombstones())
  coordinator.forget(entry)
}

/** Forgets expired offsets, and groups of which nothing is left. */
export function expireOffsets(
  coordinator: GroupCoordinator,
  options: { readonly retentionMs: number; readonly nowMs: number; readonly logger: Logger },
): void {
  const { retentionMs, nowMs, logger } = options
  for (const entry of coordinator.entries()) {
    const { groupId, offsets } = entry
    const expired = [...offsets.expired(entry.group, retentionMs, nowMs)]
    try {
      deleteOffsets(coordinator, entry, expired)
      const isOver = entry.group.isIdle && offsets.size === 0
      if (isOver) deleteGroup(coordinator, entry)
      if (expired.length === 0) continue
      logger.info('offsets expired', { groupId, count: expired.length, isGroupDeleted: isOver })
    } catch (error) {
      logger.warn('expired offsets not removed', { groupId, error })
    }
  }
}
