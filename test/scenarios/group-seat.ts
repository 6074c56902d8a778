/** The place of one group, as the coordinator keeps it: the group may become one of the other kind, and what was not kept is taken back. */
import { ClassicGroup } from '../../broker/group/group.ts'
import {
  type GroupMakers,
  groupAfter,
  groupInstead,
  stepOf,
} from '../../broker/group/group-kind.ts'
import type { Group, GroupEffect, GroupEvent } from '../../broker/group/step.ts'
import {
  decodeOffsetsRecord,
  encodeOffsetsRecord,
  type OffsetsRecordInput,
} from '../../protocol/messages/offsets-topic.ts'

/** What came of an event. */
export interface Outcome {
  readonly effects: readonly GroupEffect[]
  readonly records: readonly OffsetsRecordInput[]
  readonly isKept: boolean
}

export class GroupSeat {
  group: Group
  /** The records of the next step that has any are refused. */
  failsNext = false
  private readonly makers: GroupMakers
  private readonly persisted: OffsetsRecordInput[] = []
  /** Tombstones of the group of the other kind that was here, until something is written. */
  private replaced: readonly OffsetsRecordInput[] = []

  constructor(makers: GroupMakers) {
    this.makers = makers
    this.group = new ClassicGroup('g', makers.classic)
  }

  /** Several outcomes where the records are refused: the group is told. */
  step(event: GroupEvent, nowMs: number): readonly Outcome[] {
    const other = groupInstead(this.group, event, this.makers)
    if (other !== null) {
      if (this.group.protocolType !== '') {
        this.replaced = [...this.replaced, ...this.group.tombstones()]
      }
      this.group = other
    }
    const effects = stepOf(this.group, event, this.makers, nowMs)
    const records = effects.flatMap(effect => (effect.kind === 'persist' ? effect.records : []))
    const isKept = !this.failsNext || records.length === 0
    if (!isKept) {
      this.failsNext = false
      const refused = { kind: 'writeFailed', error: 'MESSAGE_TOO_LARGE' } as const
      return [{ effects, records, isKept }, ...this.step(refused, nowMs)]
    }
    if (records.length > 0) {
      this.persisted.push(...this.replaced, ...records)
      this.replaced = []
    }
    for (const effect of effects) if (effect.kind === 'become') this.group = effect.group
    return [{ effects, records, isKept }]
  }

  /** The group as it is made of what was persisted, before its timers begin. */
  replayed(): Group {
    let group: Group = new ClassicGroup('g', this.makers.classic)
    for (const record of this.persisted) {
      const { key, value } = encodeOffsetsRecord(record)
      const read = decodeOffsetsRecord(key, value)!
      if (read.name !== 'OffsetCommit') group = groupAfter(group, read, this.makers)
    }
    return group
  }
}
