/** The list of APIs whose messages we know, by name; and the types of their requests and responses. */
import { ApiVersions } from './messages/api-versions.ts'
import { Produce } from './messages/produce.ts'
import type { Api, Infer, InferInput } from './schema.ts'

export const apis = { ApiVersions, Produce } as const satisfies Record<string, Api>

export type ApiName = keyof typeof apis

/** A request as a broker reads it: every field is there. */
export type RequestOf<N extends ApiName> = Infer<(typeof apis)[N]['request']>
/** A request as a client writes it: fields with a default may be left out. */
export type RequestInput<N extends ApiName> = InferInput<(typeof apis)[N]['request']>
/** A response as a client reads it. */
export type ResponseOf<N extends ApiName> = Infer<(typeof apis)[N]['response']>
/** A response as a broker writes it. */
export type ResponseInput<N extends ApiName> = InferInput<(typeof apis)[N]['response']>

const byKey = new Map<number, Api<ApiName>>(
  Object.values(apis).map(a => [a.key, a as Api<ApiName>]),
)

/** The API with this key, or undefined for one that we do not know. */
export function apiByKey(key: number): Api<ApiName> | undefined {
  return byKey.get(key)
}
