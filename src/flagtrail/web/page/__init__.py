"""The web page: the same answers as the API's, for people, drawn by the server and readable without JavaScript."""
