"""One module a page: `page` says where it is and who may open it, `router` answers. A new file is a new page."""
