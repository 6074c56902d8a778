/**
 * How far groups are behind, in records and in seconds.
 *
 * In seconds: how long the first record that a group has not read has been there. Reading it would cost a disk access for each
 * partition and scrape, so high watermarks are noted every few seconds instead: the record came after the last note at which it
 * was not there yet. The answer is exact to one interval; what was there before the first note (a start of the broker, the first
 * commit) has been there since then at least. So it is about arrival at this broker, whatever timestamps records have. Records
 * that are deleted count in records, as in Kafka's tools, and not in seconds; of those that compaction removes the place counts.
 */

import type { ReplicaManager } from '../replication/replica-manager.ts'
import type { GroupEntry } from './coordinator.ts'

/** How often high watermarks are noted. */
export const NOTE_EVERY_MS = 5000
/** Notes of a partition; of more, the one goes that says least for its age, so that they lie the closer the newer they are. */
export const MAX_NOTES = 64

/** The high watermark was `offset` from one moment to another. */
interface Note {
  readonly offset: number
  readonly sinceMs: number
  atMs: number
}

export interface Lag {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly records: number
  readonly seconds: number
}

export class LagWatch {
  private readonly replicas: ReplicaManager
  private notes = new Map<string, Map<number, Note[]>>()

  constructor(replicas: ReplicaManager) {
    this.replicas = replicas
  }

  /** Notes the high watermarks of all partitions that groups have read; forgets those of others. */
  note(entries: Iterable<GroupEntry>, nowMs: number): void {
    const kept = new Map<string, Map<number, Note[]>>()
    for (const { offsets } of entries) {
      for (const [topic, partitions] of offsets.topics()) {
        const ofTopic = kept.get(topic) ?? new Map<number, Note[]>()
        kept.set(topic, ofTopic)
        for (const partition of partitions.keys()) {
          if (ofTopic.has(partition)) continue
          const end = this.replicas.find(topic, partition)?.highWatermark.value
          if (end === undefined) continue
          const notes = this.notes.get(topic)?.get(partition) ?? []
          addNote(notes, end, nowMs)
          ofTopic.set(partition, notes)
        }
      }
    }
    this.notes = kept
  }

  /** The lag of a group in each partition that it has read and that is still there. */
  *of({ offsets }: GroupEntry, nowMs: number): Iterable<Lag> {
    for (const [topic, partitions] of offsets.topics()) {
      for (const [partition, { offset }] of partitions) {
        const found = this.replicas.find(topic, partition)
        if (found === undefined) continue
        const end = found.highWatermark.value
        const records = Math.max(0, end - offset)
        const first = Math.max(offset, found.log.logStartOffset)
        const notes = this.notes.get(topic)?.get(partition) ?? []
        const seconds = first >= end ? 0 : secondsBehind(notes, first, nowMs)
        yield { topic, partition, offset, records, seconds }
      }
    }
  }
}

/** Notes that `end` was the end at this time. */
export function addNote(notes: Note[], end: number, nowMs: number): void {
  // Another topic of the same name.
  if (end < (notes.at(-1)?.offset ?? 0)) notes.length = 0
  const last = notes.at(-1)
  if (last !== undefined && last.offset === end) {
    // Still the end: the next record comes later than now.
    last.atMs = nowMs
    return
  }
  notes.push({ offset: end, sinceMs: nowMs, atMs: nowMs })
  if (notes.length <= MAX_NOTES) return
  let least = 1
  let smallest = Number.POSITIVE_INFINITY
  for (let i = 1; i < notes.length - 1; i++) {
    const gap = (notes[i + 1]!.atMs - notes[i - 1]!.atMs) / (nowMs - notes[i - 1]!.atMs)
    if (gap < smallest) {
      smallest = gap
      least = i
    }
  }
  notes.splice(least, 1)
}

/** For how long the record at `offset` has been there, by the notes. */
export function secondsBehind(notes: readonly Note[], offset: number, nowMs: number): number {
  const before = notes.findLast(note => note.offset <= offset)
  const sinceMs = before?.atMs ?? notes[0]?.sinceMs ?? nowMs
  return Math.max(0, nowMs - sinceMs) / 1000
}
