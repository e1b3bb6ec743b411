// Exact names first: a page's title, then the name of an equation or a function.
const words = (text) =>
  (text || "").toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean).join(" ");
const query = words(new URLSearchParams(location.search).get("q"));

Scorer.score = ([page, title, anchor, description, score]) => {
  const name = words(description ? title.split(".").pop() : title);
  const isNamed = [name, words(title), name.replace(/^(eq|def) /, "")].includes(query);
  return score + (isNamed ? (description ? 100 : 200) : 0);
};

// The text of a page without what is there twice or is no text.
Search.htmlToText = (html) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  const text = page.querySelector("article");
  const unread = ".headerlink, .verified, .katex-html, annotation, script, style";
  for (const element of text.querySelectorAll(unread)) element.remove();
  return text.textContent;
};

// A page that is opened from a file cannot read other pages.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
