/**
 * `Controller`: keeps the cluster image up to date with the store, and changes the store for those who administer it.
 *
 * - Every change is a compare-and-set commit of what was decided from an image; when somebody else was faster it is
 *   decided again from the newer one, a bounded number of times.
 * - A change is answered only when the image has it and everybody who follows the image (`onImage`) has acted on it:
 *   a client that has created a topic finds its partitions open, one that has deleted it finds them closed.
 * - `latest` is what the store says, `image` what has been acted on; decisions are made from `latest`.
 *
 * With one broker every request comes to the controller. The fences that several brokers need (cluster-metadata.md 5.2)
 * are further compares in the same commits.
 */
import { ZERO_UUID } from '../../protocol/buffer.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Io } from '../../protocol/io.ts'
import type { Logger } from '../logger.ts'
import {
  applyUpdates,
  type ClusterImage,
  type Configs,
  configKey,
  emptyImage,
  imageFromEntries,
  isInternalTopic,
  type PartitionImage,
  partitionKey,
  type TopicImage,
  topicKey,
} from './image.ts'
import {
  checkReplicas,
  MAX_PARTITIONS_PER_REQUEST,
  type NewTopic,
  type PlacementDefaults,
  place,
  placeTopic,
} from './placement.ts'
import {
  type Change,
  type Compare,
  type MetadataStore,
  NotSentError,
  type Update,
} from './store.ts'
import { collisionKey, validateTopicName } from './topic-name.ts'

export interface ControllerSettings {
  /** The defaults of new topics, as they are at this moment. */
  placement(): PlacementDefaults
  /** Why no partitions can be added now, if there is no room for them. */
  refusal?(what: string): ProtocolError | null
  /** Throws ProtocolError INVALID_CONFIG unless a topic may have these settings. */
  validateTopicConfigs(configs: Readonly<Record<string, string | null>>): void
}

export interface ControllerOptions {
  readonly store: MetadataStore
  readonly nodeId: number
  readonly io: Io
  readonly logger: Logger
  readonly settings: ControllerSettings
}

/** Acts on a change of the image; the image is not shown to requests before the promise is settled. */
export type ImageCallback = (before: ClusterImage, after: ClusterImage) => Promise<void> | void

/** One of the two; the other is undefined. */
export type Outcome<T> = { readonly value: T } | { readonly error: unknown }

export interface MorePartitions {
  readonly name: string
  /** How many there should be then. */
  readonly count: number
  /** Replicas of each new partition; null leaves it to us. */
  readonly assignments: readonly (readonly number[])[] | null
}

export type TopicReference = { readonly name: string } | { readonly id: string }

/** What a change wants to write, and what it answers. */
interface Decision<R> {
  readonly result: R
  readonly changes: readonly Change[]
  /** Keys that are not written but must not have changed either. */
  readonly fences?: readonly string[]
}

interface Wait {
  readonly revision: number
  readonly done: () => void
}

/** How often a change is decided again because somebody else's commit came first. */
const ATTEMPTS = 10

export class Controller {
  readonly nodeId: number
  private readonly store: MetadataStore
  private readonly io: Io
  private readonly logger: Logger
  private readonly settings: ControllerSettings
  private readonly callbacks: ImageCallback[] = []
  private current: ClusterImage
  private latest: ClusterImage
  /** The revision at which each key was last written. */
  private modRevisions = new Map<string, number>()
  /** Who waits until `latest` has a revision, and who until it has been acted on. */
  private readonly unseen: Wait[] = []
  private readonly unacted: Wait[] = []
  private isActing = false
  private unwatch = () => {}
  /** Changes are decided one after the other. */
  private turn: Promise<unknown> = Promise.resolve()

  constructor(options: ControllerOptions) {
    this.store = options.store
    this.nodeId = options.nodeId
    this.io = options.io
    this.logger = options.logger
    this.settings = options.settings
    this.current = emptyImage('')
    this.latest = this.current
  }

  /** The newest image that everybody has acted on. */
  get image(): ClusterImage {
    return this.current
  }

  /** The brokers that replicas can be placed on. */
  get brokers(): readonly number[] {
    return [this.nodeId]
  }

  /** Calls back, in order of registration, with every new image; register before `start`. */
  onImage(callback: ImageCallback): void {
    this.callbacks.push(callback)
  }

  /** Loads the image, lets everybody act on it, and follows the store from then on. */
  async start(): Promise<void> {
    await this.load()
    await this.actedOn(this.latest.revision)
  }

  stop(): void {
    this.unwatch()
  }

  private async load(): Promise<void> {
    const { clusterId } = await this.store.info()
    const { entries, revision } = await this.store.range('')
    this.modRevisions = new Map(entries.map(({ key, modRevision }) => [key, modRevision]))
    this.latest = imageFromEntries(clusterId, revision, entries)
    wake(this.unseen, revision)
    this.unwatch()
    this.unwatch = this.store.watch('', revision + 1, {
      batch: (at, updates) => this.follow(at, updates),
      compacted: () => {
        this.logger.warn('metadata loaded anew: the store has forgotten what was missed')
        this.load().catch(error => this.logger.error('metadata not loaded', { error }))
      },
      stale: sinceMs => this.logger.warn('metadata store not heard of', { sinceMs }),
    })
    void this.act()
  }

  private follow(revision: number, updates: readonly Update[]): void {
    for (const { key, value } of updates) {
      if (value === null) this.modRevisions.delete(key)
      else this.modRevisions.set(key, revision)
    }
    this.latest = applyUpdates(this.latest, revision, updates)
    wake(this.unseen, revision)
    void this.act()
  }

  /** Brings `current` up to `latest`; revisions that come meanwhile are joined into the next step. */
  private async act(): Promise<void> {
    if (this.isActing) return
    this.isActing = true
    while (this.current !== this.latest) {
      const after = this.latest
      for (const callback of this.callbacks) {
        try {
          await callback(this.current, after)
        } catch (error) {
          this.logger.error('new metadata not acted on', {
            revision: after.revision,
            error: error instanceof Error ? error.stack : String(error),
          })
        }
      }
      this.current = after
      wake(this.unacted, after.revision)
    }
    this.isActing = false
  }

  /** Resolves when everybody has acted on this revision. */
  private actedOn(revision: number): Promise<void> {
    if (this.current.revision >= revision) return Promise.resolve()
    return new Promise(done => this.unacted.push({ revision, done }))
  }

  private seen(revision: number): Promise<void> {
    if (this.latest.revision >= revision) return Promise.resolve()
    return new Promise(done => this.unseen.push({ revision, done }))
  }

  /**
   * Decides on the latest image and commits, one change at a time; resolves when it has been acted on. A decision
   * without changes commits nothing, but still waits for what others have begun (two clients that create one topic).
   */
  private async change<R>(decide: (image: ClusterImage) => Decision<R>): Promise<R> {
    const decided = this.turn.then(() => this.commit(decide))
    // Only that it is over: what was decided holds topics that may be deleted by and by.
    this.turn = decided.then(nothing, nothing)
    const { result, revision } = await decided
    await this.actedOn(revision)
    return result
  }

  private async commit<R>(
    decide: (image: ClusterImage) => Decision<R>,
  ): Promise<{ result: R; revision: number }> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { result, changes, fences = [] } = decide(this.latest)
      if (changes.length === 0) return { result, revision: this.latest.revision }
      const keys = [...changes.map(({ key }) => key), ...fences]
      const compare = keys.map(
        (key): Compare => ({ key, modRevision: this.modRevisions.get(key) ?? 0 }),
      )
      const { ok, revision } = await this.store.commit(compare, changes).catch(error => {
        if (!(error instanceof NotSentError)) throw error
        throw new ProtocolError('KAFKA_STORAGE_ERROR', error.message)
      })
      // The next decision must see this one, or the one that came before it.
      await this.seen(revision)
      if (ok) return { result, revision }
    }
    throw new ProtocolError('REQUEST_TIMED_OUT', 'others kept changing the same metadata')
  }

  /**
   * Creates topics. What is wrong with one does not stop the others. With `validateOnly` nothing is created and the
   * images that would be are given.
   */
  createTopics(
    topics: readonly NewTopic[],
    validateOnly = false,
  ): Promise<readonly Outcome<TopicImage>[]> {
    return this.change(image => {
      const collisions = new Map<string, string>()
      if (topics.some(({ name }) => /[._]/.test(name)))
        for (const name of image.topics.keys()) collisions.set(collisionKey(name), name)
      const changes: Change[] = []
      let room = MAX_PARTITIONS_PER_REQUEST
      const result = topics.map(topic =>
        outcome(() => {
          this.checkName(image, topic.name, collisions)
          const created = this.newTopic(topic, validateOnly)
          room -= created.partitions.length
          if (room < 0) throw tooManyPartitions()
          collisions.set(collisionKey(topic.name), topic.name)
          changes.push(...creation(created))
          return created
        }),
      )
      return { result, changes: validateOnly ? [] : changes }
    })
  }

  private checkName(
    image: ClusterImage,
    name: string,
    collisions: ReadonlyMap<string, string>,
  ): void {
    validateTopicName(name)
    if (image.topics.has(name))
      throw new ProtocolError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists.`)
    const other = collisions.get(collisionKey(name))
    if (other !== undefined) {
      throw new ProtocolError(
        'INVALID_TOPIC_EXCEPTION',
        `Topic '${name}' collides with existing topic: ${other}`,
      )
    }
  }

  private newTopic(topic: NewTopic, validateOnly: boolean): TopicImage {
    const { name } = topic
    if (topic.assignments.length === 0 && topic.numPartitions > MAX_PARTITIONS_PER_REQUEST)
      throw tooManyPartitions()
    const replicas = placeTopic(topic, this.brokers, this.settings.placement())
    this.settings.validateTopicConfigs(topic.configs)
    this.assertRoom(`topic '${name}'`)
    const id = validateOnly ? ZERO_UUID : this.newTopicId()
    const partitions = replicas.map(newPartition)
    return {
      name,
      id,
      partitions,
      configs: topic.configs as Configs,
      isInternal: isInternalTopic(name),
    }
  }

  private assertRoom(what: string): void {
    const refusal = this.settings.refusal?.(what) ?? null
    if (refusal !== null) throw refusal
  }

  /** No id starts with '-': on a command line it would look like an option. */
  private newTopicId(): string {
    for (;;) {
      const id = this.io.uuid()
      if (!id.startsWith('-') && id !== ZERO_UUID) return id
    }
  }

  createPartitions(
    requests: readonly MorePartitions[],
    validateOnly = false,
  ): Promise<readonly Outcome<null>[]> {
    return this.change(image => {
      const changes: Change[] = []
      const result = requests.map(request =>
        outcome(() => {
          changes.push(...this.morePartitions(image, request))
          return null
        }),
      )
      return { result, changes: validateOnly ? [] : changes }
    })
  }

  private morePartitions(image: ClusterImage, request: MorePartitions): readonly Change[] {
    const { name, count, assignments } = request
    const topic = image.topics.get(name)
    if (topic === undefined) throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION')
    const before = topic.partitions.length
    if (count === before) {
      throw new ProtocolError('INVALID_PARTITIONS', `Topic already has ${before} partition(s).`)
    }
    if (count < before) {
      throw new ProtocolError(
        'INVALID_PARTITIONS',
        `The topic ${name} currently has ${before} partition(s); ${count} would not be an increase.`,
      )
    }
    this.assertRoom(`more partitions of '${name}'`)
    if (count - before > MAX_PARTITIONS_PER_REQUEST) throw tooManyPartitions()
    if (assignments !== null && assignments.length !== count - before) {
      throw new ProtocolError(
        'INVALID_REPLICA_ASSIGNMENT',
        `Attempted to add ${count - before} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
      )
    }
    const factor = topic.partitions[0]?.replicas.length ?? 1
    for (const replicas of assignments ?? []) checkReplicas(replicas, this.brokers, factor)
    const added = assignments ?? place(count - before, factor, this.brokers)
    return [
      { key: topicKey(name), value: JSON.stringify({ id: topic.id, partitions: count }) },
      ...added.map((replicas, i) => partitionChange(topic.id, before + i, newPartition(replicas))),
    ]
  }

  /** Deletes topics by name or by id; gives back what was deleted. */
  deleteTopics(references: readonly TopicReference[]): Promise<readonly Outcome<TopicImage>[]> {
    return this.change(image => {
      const changes: Change[] = []
      const result = references.map(reference =>
        outcome(() => {
          const topic = findTopic(image, reference)
          changes.push(...deletion(topic))
          return topic
        }),
      )
      return { result, changes }
    })
  }

  /**
   * Replaces the dynamic settings of a topic, broker or group by what `edit` makes of them; `edit` throws what is wrong, and
   * may be called again. With `validateOnly` nothing changes.
   */
  alterConfigs(
    type: 'topic' | 'broker' | 'group',
    name: string,
    edit: (configs: Configs) => Configs,
    validateOnly = false,
  ): Promise<void> {
    return this.change(image => {
      const before =
        type === 'topic' ? image.topics.get(name)?.configs : image[`${type}Configs`].get(name)
      if (type === 'topic' && before === undefined)
        throw new ProtocolError('UNKNOWN_TOPIC_OR_PARTITION', `The topic '${name}' does not exist.`)
      const after = edit(before ?? {})
      const key = configKey(type, name)
      if (validateOnly || JSON.stringify(after) === JSON.stringify(before ?? {}))
        return { result: undefined, changes: [] }
      const value = Object.keys(after).length === 0 ? null : JSON.stringify(after)
      // A topic's settings must not outlive it.
      const fences = type === 'topic' ? [topicKey(name)] : []
      return { result: undefined, changes: [{ key, value }], fences }
    })
  }

  /**
   * Begins a new term in every partition that this broker leads, or in those that are meant: the end of a log may be gone
   * after an unclean stop, or all of it with a disk, and the higher leader epoch lets clients notice.
   */
  async beginNewTerms(
    isMeant: (topic: TopicImage, index: number) => boolean = () => true,
  ): Promise<void> {
    await this.change(image => {
      const changes: Change[] = []
      for (const topic of image.topics.values()) {
        for (const [i, state] of topic.partitions.entries()) {
          if (state.leader !== this.nodeId || !isMeant(topic, i)) continue
          const leaderEpoch = state.leaderEpoch + 1
          const partitionEpoch = state.partitionEpoch + 1
          changes.push(partitionChange(topic.id, i, { ...state, leaderEpoch, partitionEpoch }))
        }
      }
      return { result: null, changes }
    })
  }
}

function nothing(): void {}

function wake(waits: Wait[], revision: number): void {
  const due = waits.filter(wait => wait.revision <= revision)
  if (due.length === 0) return
  waits.splice(0, waits.length, ...waits.filter(wait => wait.revision > revision))
  for (const { done } of due) done()
}

function outcome<T>(decide: () => T): Outcome<T> {
  try {
    return { value: decide() }
  } catch (error) {
    return { error }
  }
}

function tooManyPartitions(): ProtocolError {
  return new ProtocolError(
    'POLICY_VIOLATION',
    'Excessively large number of partitions per request.',
  )
}

function newPartition(replicas: readonly number[]): PartitionImage {
  return { leader: replicas[0]!, leaderEpoch: 0, partitionEpoch: 0, replicas, isr: replicas }
}

function findTopic(image: ClusterImage, reference: TopicReference): TopicImage {
  const isNamed = 'name' in reference
  const topic = isNamed ? image.topics.get(reference.name) : image.topicsById.get(reference.id)
  if (topic !== undefined) return topic
  if (isNamed) {
    throw new ProtocolError(
      'UNKNOWN_TOPIC_OR_PARTITION',
      'This server does not host this topic-partition.',
    )
  }
  throw new ProtocolError('UNKNOWN_TOPIC_ID', 'This server does not host this topic ID.')
}

function partitionChange(topicId: string, index: number, state: PartitionImage): Change {
  return { key: partitionKey(topicId, index), value: JSON.stringify(state) }
}

/** What makes a topic appear: one commit, so that nobody sees half of it. */
export function creation(topic: TopicImage): readonly Change[] {
  const { name, id, configs } = topic
  const changes: Change[] = [
    { key: topicKey(name), value: JSON.stringify({ id, partitions: topic.partitions.length }) },
    ...topic.partitions.map((state, i) => partitionChange(id, i, state)),
  ]
  if (Object.keys(configs).length > 0)
    changes.push({ key: configKey('topic', name), value: JSON.stringify(configs) })
  return changes
}

function deletion(topic: TopicImage): readonly Change[] {
  return [
    { key: topicKey(topic.name), value: null },
    ...topic.partitions.map((_, i) => ({ key: partitionKey(topic.id, i), value: null })),
    { key: configKey('topic', topic.name), value: null },
  ]
}
