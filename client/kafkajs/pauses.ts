/** Which partitions a kafkajs consumer has paused: whole topics, also those of their partitions that come later, or single ones. */
import type { TopicPartition } from '../topic-partition.ts'
import { KafkaJSNonRetriableError } from './errors.ts'

export interface TopicSelection {
  readonly topic: string
  readonly partitions?: readonly number[]
}

interface Paused {
  isWhole: boolean
  readonly partitions: Set<number>
  /** Of a topic that is paused as a whole. */
  readonly except: Set<number>
}

export class Pauses {
  private readonly topics = new Map<string, Paused>()

  pause(selections: readonly TopicSelection[]): void {
    for (const { topic, partitions } of selections) {
      const paused = this.of(topic)
      if (partitions === undefined) {
        paused.partitions.clear()
        paused.except.clear()
        paused.isWhole = true
        continue
      }
      for (const partition of partitions) {
        paused.partitions.add(partition)
        paused.except.delete(partition)
      }
      paused.isWhole = false
    }
  }

  resume(selections: readonly TopicSelection[]): void {
    for (const { topic, partitions } of selections) {
      const paused = this.of(topic)
      if (partitions === undefined) {
        paused.partitions.clear()
        paused.except.clear()
        paused.isWhole = false
        continue
      }
      for (const partition of partitions) {
        paused.partitions.delete(partition)
        if (paused.isWhole) paused.except.add(partition)
      }
    }
  }

  isPaused({ topic, partition }: TopicPartition): boolean {
    const paused = this.topics.get(topic)
    if (paused === undefined) return false
    return paused.isWhole ? !paused.except.has(partition) : paused.partitions.has(partition)
  }

  private of(topic: string): Paused {
    const paused = this.topics.get(topic) ?? {
      isWhole: false,
      partitions: new Set(),
      except: new Set(),
    }
    this.topics.set(topic, paused)
    return paused
  }
}

/** Throws a KafkaJSNonRetriableError for what names no partitions. */
export function checkSelections(selections: readonly TopicSelection[], verb: string): void {
  for (const selection of selections) {
    if (!selection?.topic) {
      const what = String(selection?.topic || selection)
      throw new KafkaJSNonRetriableError(`Invalid topic ${what}`)
    }
    const { partitions } = selection
    if (partitions === undefined) continue
    if (Array.isArray(partitions) && !partitions.some(Number.isNaN)) continue
    throw new KafkaJSNonRetriableError(
      `Array of valid partitions required to ${verb} specific partitions instead of ${partitions}`,
    )
  }
}
