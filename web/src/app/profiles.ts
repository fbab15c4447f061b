/**
 * Profiles and settings in the browser's local storage, each kind under its own prefix; a
 * lock serialises changes of several tabs.
 */

import {
  type Kind,
  type ModelCard,
  Profile,
  ProfileError,
  type Report,
} from "../espressivo";
import { storage } from "./storage";

/** Largest size of a profile's file; ours have some thousand bytes. */
const MOST_BYTES = 4_000_000;

const PREFIX = "espressivo.";
const NAMED: Record<Kind, string> = { speaker: "profile", setting: "setting" };

/** Return the names of the stored profiles of a kind, sorted. */
export function names(kind: Kind): string[] {
  const prefix = keyOf(kind, "");
  return storage
    .keys()
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length))
    .sort((a, b) => a.localeCompare(b));
}

/** @throws ProfileError The profile does not exist or is damaged. */
export async function load(kind: Kind, name: string): Promise<Profile> {
  const text = storage.getItem(keyOf(kind, name));
  if (text === null)
    throw new ProfileError(`there is no ${NAMED[kind]} '${name}' here any more`);
  const profile = await Profile.parse(text, name);
  profile.requireKind(kind);
  return profile;
}

/** @throws ProfileError The profile exists already, or the name is not allowed. */
export function create(speaker: string, card: ModelCard): Promise<void> {
  return add(Profile.create(speaker, card));
}

/** Import the file of a profile or of a setting, and return it. */
export async function take(file: File): Promise<Profile> {
  if (file.size > MOST_BYTES) {
    throw new ProfileError(`${file.name}: is too large for a profile; choose another file`);
  }
  const profile = await Profile.parse(await file.text(), file.name);
  await add(profile);
  return profile;
}

/** Add the statistics of a report to a speaker's profile. */
export async function learn(speaker: string, report: Report): Promise<void> {
  await alone(async () => store((await load("speaker", speaker)).merged(report)));
}

export function remove(kind: Kind, name: string): void {
  storage.removeItem(keyOf(kind, name));
}

function add(profile: Profile): Promise<void> {
  const { kind, name } = profile;
  return alone(async () => {
    if (names(kind).includes(name)) {
      throw new ProfileError(
        `there is a ${NAMED[kind]} '${name}' already; delete it first`,
      );
    }
    await store(profile);
  });
}

async function store(profile: Profile): Promise<void> {
  try {
    storage.setItem(keyOf(profile.kind, profile.name), await profile.toJson());
  } catch (error) {
    throw new ProfileError(
      `the browser keeps nothing for this page (${(error as Error).name})`,
    );
  }
}

function keyOf(kind: Kind, name: string): string {
  return `${PREFIX}${NAMED[kind]}/${name}`;
}

/** Run a function while no other tab changes profiles. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request(PREFIX, work) : await work();
}
