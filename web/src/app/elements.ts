/** The page's own elements, by id; the page and this list are written together. */

/** Return an element of the page. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

export function show(id: string, shown: boolean): void {
  element(id).hidden = !shown;
}

/** Make an element with its content. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<Record<string, string>> = {},
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...content);
  return made;
}

/** The colour of an emotion, as a sign beside its name. */
export function dot(emotion: string): HTMLElement {
  return make("span", { class: `emotion of-${emotion}`, "aria-hidden": "true" });
}

const status = element("status");

/** Tell what goes on, to the eye and to a screen reader. */
export function say(text: string): void {
  if (status.textContent !== text) status.textContent = text;
}
