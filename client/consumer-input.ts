/** What is given to a consumer's calls, looked at before anything is done with it. Everything here throws an OptionError. */
import { checkCall, checkPartitions, checkWhole } from './arguments.ts'
import type { Place } from './consumer-places.ts'
import { OptionError } from './errors.ts'
import type { OffsetToCommit } from './group-offsets.ts'
import { type Names, told } from './option-names.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface Assignment extends TopicPartition {
  /** Default: `autoOffsetReset`. */
  readonly offset?: Place | undefined
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

export interface MessageOptions extends ReadOptions {
  /** Handlers at work at once; above 1, order is kept within each key of a partition only. Default: 1. */
  readonly concurrency?: number | undefined
}

export interface CloseOptions {
  /** How long a handler of `eachMessage` or `eachBatch` that is at work may take to get to its end. Default: 0. */
  readonly timeoutMs?: number | undefined
}

export const CLOSE: Names<CloseOptions> = { timeoutMs: true }
const READ: Names<ReadOptions> = { signal: true }
const MESSAGE: Names<MessageOptions> = { signal: true, concurrency: true }

export function checkReading(options: ReadOptions, call: string): void {
  checkCall(options, READ, call)
}

export function checkHandling(handler: unknown, options: MessageOptions, call: string): void {
  if (typeof handler !== 'function') {
    throw new OptionError(`${call}: the handler is ${told(handler)}: give a function.`)
  }
  checkCall(options, call === 'eachMessage' ? MESSAGE : READ, call)
  const { concurrency = 1 } = options
  checkWhole(concurrency, 'concurrency', 1)
}

/** Names and patterns; flags that make a pattern remember where it was mean nothing for names. */
export function checkSubscription(topics: readonly unknown[]): void {
  for (const topic of topics) {
    // Not instanceof: a test runner's RegExp is another.
    if (Object.prototype.toString.call(topic) === '[object RegExp]') {
      const flag = /[gy]/.exec((topic as RegExp).flags)?.[0]
      if (flag === undefined) continue
      throw new OptionError(`pattern ${topic} has the flag ${flag}: leave it out.`)
    }
    if (typeof topic === 'string' && topic !== '') continue
    const what = topic === '' ? 'empty' : told(topic)
    throw new OptionError(`a topic to subscribe to is ${what}: give its name, or a RegExp.`)
  }
}

export function checkOffsets(offsets: readonly OffsetToCommit[]): void {
  checkPartitions(offsets, 'the offsets to commit', ({ offset, metadata }, where) => {
    checkWhole(offset, `the offset to commit of ${where}`)
    if (metadata == null || typeof metadata === 'string') return
    throw new OptionError(`the metadata of ${where} is ${told(metadata)}: give text.`)
  })
}
