/** Drag and drop of files and folders on the page. */

import { show } from "./elements";

/** @param take Callback, called with the dropped files, or with those of a dropped folder. */
export function onDrop(take: (files: File[], isFolder: boolean) => void): void {
  // Not a count of elements: one that leaves the page, such as a row that is drawn anew,
  // is never told that the pointer has left it.
  let entered: EventTarget | null = null;
  const over = (target: EventTarget | null) => {
    entered = target;
    show("drop", target !== null);
  };
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    over(event.target);
  });
  document.addEventListener("dragleave", ({ target }) => {
    if (target === entered) over(null); // the next one is entered before this is left
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    over(null);
    const items = [...(event.dataTransfer?.items ?? [])];
    const entries = items.map((item) => item.webkitGetAsEntry());
    const folder = entries.find((entry) => entry?.isDirectory);
    if (folder) take(await filesOf(folder as FileSystemDirectoryEntry), true);
    else take([...(event.dataTransfer?.files ?? [])], false);
  });
}

async function filesOf(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  for (;;) {
    // `readEntries` returns at most 100 entries per call, and an empty list at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (entries.length === 0) return files;
    for (const entry of entries) {
      if (!entry.isFile) continue;
      files.push(
        await new Promise<File>((resolve, reject) =>
          (entry as FileSystemFileEntry).file(resolve, reject),
        ),
      );
    }
  }
}
